"""Many drills in a row: a line each and one sentence about all, in which no bad one is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from console.drills import series, words
from runbooks.drills.queries import DrillRow

AT = datetime(2024, 5, 1, tzinfo=UTC)


def make_row(number: int, core_ms: float | None, *, verdict: str = "passed") -> DrillRow:
    def path(ms: float | None) -> dict[str, object]:
        return {"path": "p", "was_out": True, "ms": ms}

    numbers = {
        "rto": {"core": path(core_ms), "door": path(500.0), "sdk": path(600.0)},
        "rpo": {"missing": 0, "acknowledged": 1_000},
        "consistency": {"verdict": "linearizable"},
    }
    return DrillRow(
        id=number, scenario="failover-leader", title="Kill the leader", seed=1, actor="ada",
        created_at=AT, verdict=verdict, reason="", faulted_at=AT, healed_at=AT, finished_at=AT,
        truth_entity="node-0", truth_kind="node_down", numbers=numbers, guards=(),
        was_judged=None, triage="", triage_said="", response={},
    )  # fmt: skip


def plain(text: str) -> str:
    """Figures and their units are kept together by spaces that don't break."""
    return "".join(" " if c.isspace() else c for c in text)


def test_a_line_has_three_recovery_times_the_loss_and_the_verdict() -> None:
    told = plain(series.line(make_row(7, 412.0), 3, 20))

    assert told == (
        "  3 of 20: drill 7 passed, RTO core 412 ms, door 500 ms, sdk 600 ms, RPO 0, linearizable"
    )


def test_a_door_that_was_never_out_is_told_with_its_longest_wait() -> None:
    quick = {"path": "door", "was_out": False, "ms": 60.5}

    assert plain(words.wait(quick)) == "no gap, 60.5 ms at most"
    assert words.wait(quick | {"ms": 0.0}) == "no gap"
    assert words.recovery(quick) == "no gap"


def test_a_drill_that_measured_nothing_says_why() -> None:
    aborted = replace(make_row(7, 1.0, verdict="aborted"), numbers={}, reason="no node leads")

    assert series.line(aborted, 1, 2) == "  1 of 2: drill 7 aborted, no node leads"


def test_a_summary_tells_the_usual_from_the_worst_and_names_what_did_not_pass() -> None:
    rows = [make_row(n, ms) for n, ms in enumerate((400.0, 450.0, 900.0), start=1)]
    late = make_row(4, None, verdict="slow")

    told = [plain(line) for line in series.summary([*rows, late])]

    assert told[0] == "4 drills: 3 passed, 1 slow"
    assert told[1] == "  RTO core  median 450 ms, worst 900 ms, 1 not back"
    assert told[-1] == "  RPO       0 of 4,000 acknowledged writes missing"


def test_a_series_in_which_nothing_was_measured_has_no_times() -> None:
    aborted = replace(make_row(7, 1.0, verdict="aborted"), numbers={})

    assert series.summary([aborted]) == [
        "1 drill: 1 aborted",
        "  RPO       0 of 0 acknowledged writes missing",
    ]


@pytest.mark.parametrize("word", ["--json", "--no-wait"])
def test_what_a_series_can_not_do_is_refused_before_anything_breaks(word: str) -> None:
    with pytest.raises(CommandError, match="neither --json nor --no-wait") as refusal:
        call_command("drill", "run", "failover-leader", "--times", "2", word)

    assert refusal.value.returncode == 2
