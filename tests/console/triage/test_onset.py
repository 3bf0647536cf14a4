"""When it began: from where the budget burnt, back to the first second that was unlike before."""

from __future__ import annotations

import pytest

from console.triage.evidence import Seconds
from console.triage.onset import GAP_S, find, longest, walk_back
from tests.console.triage.scenes import END_MS, NODES, ONSET_MS, START_S, make_seconds

SLOW = {node: {"write_p99_ms": 240.0, "slow_writes": 6.0} for node in NODES}


def test_the_walk_goes_back_from_the_burn_to_the_first_second_that_moved() -> None:
    found = find(make_seconds(SLOW), now_ms=END_MS, burn_ms=ONSET_MS + 11_000)

    assert found.at_ms == ONSET_MS
    assert found.normal[1] < ONSET_MS < found.now[1]


def test_a_stall_that_shows_as_a_drop_in_traffic_is_an_onset_too() -> None:
    hurt = {node: {"writes": 0.0, "reads": 0.0} for node in NODES}

    found = find(make_seconds(hurt), now_ms=END_MS, burn_ms=ONSET_MS + 8_000)

    assert found.at_ms == ONSET_MS


def test_a_blip_of_a_minute_ago_is_another_story() -> None:
    seconds = make_seconds(SLOW)
    blip = {
        node: {
            **columns,
            "write_p99_ms": tuple(
                900.0 if at in (60, 61, 62) else value
                for at, value in enumerate(columns["write_p99_ms"])
            ),
        }
        for node, columns in seconds.nodes.items()
    }

    found = find(Seconds(start_s=START_S, nodes=blip), now_ms=END_MS, burn_ms=ONSET_MS + 11_000)

    assert found.at_ms == ONSET_MS


def test_with_nothing_moved_there_is_no_onset_and_still_two_windows() -> None:
    found = find(make_seconds(), now_ms=END_MS, burn_ms=ONSET_MS)

    assert found.at_ms is None
    assert found.normal[0] < found.normal[1] <= found.now[0] < found.now[1]


def test_without_an_alert_the_longest_stretch_of_the_last_minutes_is_the_story() -> None:
    found = find(make_seconds(SLOW), now_ms=END_MS, burn_ms=None)

    assert found.at_ms == ONSET_MS


@pytest.mark.parametrize(
    ("pattern", "start"),
    [("..xxx", 2), ("x....xx", 0), ("xx......xx", 8), ("xxx" + "." * 40, None), ("....x", None)],
)
def test_a_few_quiet_seconds_end_the_walk(pattern: str, start: int | None) -> None:
    assert GAP_S == 5
    assert walk_back([mark == "x" for mark in pattern], 0) == start


def test_of_two_stretches_the_longer_is_meant() -> None:
    pattern = "." * 20 + "x" * 9 + "." * 20 + "x" * 5 + "."

    assert longest([mark == "x" for mark in pattern], 0) == 20


def test_rings_that_are_empty_give_no_onset() -> None:
    assert find(Seconds(), now_ms=END_MS, burn_ms=ONSET_MS).at_ms is None
