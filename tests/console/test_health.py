from __future__ import annotations

import pytest

from console.now.health import health_of
from tests.console.twins import EVERYTHING, FleetTwin, make_node, picture_of


def answer(twin: FleetTwin) -> tuple[str, str]:
    verdict = health_of(picture_of(twin), slow_write_ms=50)
    return verdict.state, verdict.sentence


def test_green_needs_nodes_that_agree_and_fresh_requests() -> None:
    state, _ = answer(FleetTwin())

    assert state == "ok"


@pytest.mark.parametrize(
    "down", [{"telemetry"}, {"node-1"}, {"node-1", "node-2"}, {"node-0", "telemetry"}, EVERYTHING]
)
def test_missing_evidence_is_never_green(down: str) -> None:
    state, _ = answer(FleetTwin(set(down)))

    assert state != "ok"


def test_a_silent_queue_does_not_make_the_store_sick_but_is_told() -> None:
    verdict = health_of(picture_of(FleetTwin({"job queue"})), slow_write_ms=50)

    assert verdict.state == "ok"
    assert "job queue doesn't answer" in verdict.context


def test_a_lost_majority_fires_and_a_lost_node_warns() -> None:
    assert answer(FleetTwin({"node-1", "node-2"})) == (
        "firing",
        "Writes can't commit: only 1 of 3 nodes answers",
    )
    assert answer(FleetTwin({"node-1"})) == (
        "warning",
        "node-1 doesn't answer; 2 of 3 nodes carry on",
    )


def test_without_a_leader_writes_wait() -> None:
    twin = FleetTwin()
    twin.statuses = {n: make_node(n, role="follower", leader=None) for n in range(3)}

    assert answer(twin) == ("firing", "No node leads in term 4: writes wait")


def test_a_node_that_stayed_in_an_old_term_does_not_agree() -> None:
    twin = FleetTwin()
    twin.statuses[2] = make_node(2, term=3, leader=1)

    assert answer(twin) == ("warning", "2 of 3 nodes agree on who leads in term 4")


def test_a_follower_far_behind_is_named() -> None:
    twin = FleetTwin()
    twin.statuses = {n: make_node(n, commit_index=90_000, applied_index=90_000) for n in range(3)}
    twin.statuses[1] = make_node(1, commit_index=90_000, applied_index=100)

    assert answer(twin)[1] == "node-1 is behind by more than 10,000 entries"


@pytest.mark.parametrize(
    ("last", "state", "words"),
    [
        ({"failed_percent": 3.2}, "firing", "3.20\u202f% of requests fail"),
        ({"write_p99_ms": 62.0}, "warning", "Writes are slow: p99 62.0\u202fms"),
        ({"requests_per_s": 0.0}, "idle", "No requests in the last 30 s"),
        ({"requests_per_s": None}, "idle", "No requests in the last 30 s"),
    ],
)
def test_the_worst_number_is_the_answer(
    last: dict[str, float | None], state: str, words: str
) -> None:
    twin = FleetTwin()
    twin.last = last

    got_state, sentence = answer(twin)

    assert got_state == state
    assert sentence.startswith(words)
