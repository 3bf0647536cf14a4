"""The score: what is a case, how sure a share is, and that its page never hides the denominator."""

from __future__ import annotations

import pytest
from django.test import Client

from console.triage import accuracy
from console.triage.accuracy import Verdict, verdict_of, wilson
from console.triage.models import JudgedDrill
from console.triage.queries import record_of

TRUTH = ("node-1", "fsync_stall")


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    # Newcombe 1998, table I: the score interval without continuity correction.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_wilson_interval_agrees_with_the_published_table(
    count: int, total: int, low: float, high: float
) -> None:
    found = wilson(count, total)

    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


def test_no_case_says_nothing() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("claims", "has_moved", "expected"),
    [
        ([TRUTH], True, Verdict.RIGHT),
        ([("node-2", "isolated"), TRUTH], True, Verdict.TOP3),
        ([("a", "b"), ("c", "d"), ("e", "f"), TRUTH], True, Verdict.MISS),
        ([("node-2", "fsync_stall")], True, Verdict.MISS),
        ([], True, Verdict.ABSTAINED),
        ([TRUTH], False, Verdict.NOT_JUDGED),
    ],
)
def test_how_a_drill_is_judged(
    claims: list[tuple[str, str]], has_moved: bool, expected: Verdict
) -> None:
    assert verdict_of(truth=TRUTH, claims=claims, has_moved=has_moved) is expected


def test_a_cause_named_where_nothing_was_broken_is_a_false_alarm() -> None:
    assert verdict_of(truth=None, claims=[TRUTH], has_moved=True) is Verdict.FALSE_ALARM
    assert verdict_of(truth=None, claims=[], has_moved=True) is Verdict.QUIET


def make_case(run_id: int, verdict: Verdict, kind: str = "fsync_stall") -> JudgedDrill:
    started_ms = 1_795_492_700_000 + run_id * 1000
    return JudgedDrill.objects.create(
        run_id=run_id,
        scenario="fsync-stall-leader",
        truth_entity="node-1",
        truth_kind=kind,
        verdict=verdict.value,
        named_entity="node-1",
        named_kind=kind,
        baselines={"loudest metric": run_id % 2 == 0},
        started_ms=started_ms,
        ended_ms=started_ms + 60_000,
        detected_ms=started_ms + 12_000,
        named_ms=started_ms + 19_000,
        judged_ms=started_ms + 70_000,
    )


@pytest.mark.django_db
def test_the_record_of_a_kind_counts_judged_drills_of_that_kind_only() -> None:
    for run_id in range(11):
        make_case(run_id, Verdict.RIGHT)
    make_case(11, Verdict.MISS)
    make_case(12, Verdict.NOT_JUDGED)
    make_case(13, Verdict.MISS, kind="isolated")

    assert record_of("fsync_stall") == "right 11 of 12 times for this kind here"
    assert record_of("loop_block") == "not yet scored here"


@pytest.mark.django_db
def test_the_page_without_a_drill_says_how_to_get_one(client: Client) -> None:
    page = client.get("/accuracy").content.decode()

    assert "Nothing judged yet: run a drill" in page


@pytest.mark.django_db
def test_the_page_gives_share_interval_kinds_misses_and_what_was_left_out(client: Client) -> None:
    for run_id in range(3):
        make_case(run_id, Verdict.RIGHT)
    make_case(3, Verdict.MISS, kind="isolated")
    make_case(4, Verdict.NOT_JUDGED)

    page = client.get("/accuracy").content.decode()

    assert "Right first time 3 of 4" in page
    assert "30 % to 95 % with 95 % confidence" in page
    assert "1 drill not judged: no objective moved" in page
    assert "loudest metric" in page and "2 of 4" in page
    assert "19.0" in page


def test_medians_leave_out_what_never_happened() -> None:
    assert accuracy.median([3.0, None, 1.0]) == 2.0
    assert accuracy.median([None]) is None
