"""Whose time it was: exclusive, on the innermost stage, weighed by how many requests there were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.triage.stages import Diff, Stage, bars, diffs, exclusive
from telemetry import names
from tests.console.triage.scenes import NODES, ONSET_MS, make_evidence, make_request, make_seconds

MS = 1_000_000


def at(stage: str, node: str, begin_ms: float, end_ms: float) -> Stage:
    return Stage(stage, node, int(begin_ms * MS), int(end_ms * MS))


def test_a_forwarded_write_is_told_by_the_leaders_stages() -> None:
    spent = exclusive(
        "node-0",
        0,
        40 * MS,
        [
            at("receive", "node-0", 0, 1),
            at("forward", "node-0", 1, 39),
            at("respond", "node-0", 39, 40),
            at("append", "node-1", 3, 4),
            at("flush", "node-1", 4, 34),
        ],
    )

    assert spent["flush", "node-1"] == pytest.approx(30)
    assert spent["forward", "node-0"] == pytest.approx(2 + 5)
    assert sum(spent.values()) == pytest.approx(40)


def test_the_wait_for_a_quorum_is_the_deciding_followers_disk() -> None:
    spent = exclusive(
        "node-1",
        0,
        30 * MS,
        [
            at("flush", "node-1", 0, 2),
            at("quorum", "node-1", 2, 30),
            at("peer_flush", "node-0", 4, 29),
            at("peer_flush", "node-2", 4, 200),
        ],
    )

    assert spent["peer_flush", "node-0"] == pytest.approx(25)
    assert ("peer_flush", "node-2") not in spent
    assert spent["quorum", "node-1"] == pytest.approx(3)


def test_what_no_stage_explains_is_called_so() -> None:
    spent = exclusive("node-0", 0, 10 * MS, [at("receive", "node-0", 0, 4)])

    assert spent["unexplained", ""] == pytest.approx(6)


stages = st.builds(
    at,
    st.sampled_from(("receive", "forward", "barrier", "flush", "quorum", "peer_flush")),
    st.sampled_from(NODES),
    st.floats(-5, 60),
    st.floats(-5, 60),
)


@given(st.lists(stages, max_size=12))
def test_parts_always_add_up_to_the_request(found: list[Stage]) -> None:
    ordered = [each for each in found if each.start_ns < each.end_ns]

    spent = exclusive("node-0", 0, 50 * MS, ordered)

    assert sum(spent.values()) == pytest.approx(50)
    assert all(ms >= 0 for ms in spent.values())


def test_slow_requests_weigh_what_they_are_not_how_often_they_were_kept() -> None:
    hurt = {node: {"slow_writes": 0.8} for node in NODES}  # One in ten of 8 writes a second.
    quick = [make_request(at_ms=ONSET_MS + n, parts={("flush", "node-1"): 10.0}) for n in range(5)]
    slow = [
        make_request(at_ms=ONSET_MS + n, parts={("flush", "node-1"): 110.0}, is_random=False)
        for n in range(80)
    ]
    evidence = make_evidence(
        seconds=make_seconds(hurt), requests_normal=tuple(quick), requests_now=(*quick, *slow)
    )

    (diff,) = diffs(evidence)

    # 17 of 20 s of the window are after the onset.
    assert diff.now["flush", "node-1"] == pytest.approx(10 + 0.1 * 100, rel=0.15)


def test_the_bars_are_on_one_scale_and_name_who_added_most() -> None:
    diff = Diff(
        kind=names.KIND_WRITE,
        normal={("flush", "node-1"): 2.0, ("forward", "node-0"): 1.0, ("parse", "node-0"): 0.01},
        now={("flush", "node-1"): 89.0, ("forward", "node-0"): 14.0, ("parse", "node-0"): 0.01},
    )

    found = bars(diff)

    assert found.sentence == "87 % of the added time is flush on node-1"
    assert found.now_ms == pytest.approx(103.01)
    assert [part.stage for part in found.now] == ["forward", "flush", "others"]
