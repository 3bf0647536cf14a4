"""Each kind from made-up evidence: what is named, and above all what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.triage.diagnose import diagnose
from console.triage.evidence import ChangeSeen, Evidence, Seconds
from console.triage.findings import Findings, Silence, claim_body, claim_from
from telemetry import names
from tests.console.triage.scenes import (
    END_MS,
    NODES,
    ONSET_MS,
    QUIET_S,
    STEADY,
    make_curve,
    make_evidence,
    make_node,
    make_request,
    make_seconds,
    with_curve,
)

SLOW_WRITES = {"write_p99_ms": 240.0, "slow_writes": 6.0}


def named(evidence: Evidence) -> tuple[str, str] | None:
    found = diagnose(evidence)
    return (found.claims[0].entity, found.claims[0].kind) if found.claims else None


def stalled(node: str = "node-1") -> Evidence:
    hurt = {each: dict(SLOW_WRITES) for each in NODES}
    hurt[node]["flush_p99_ms"] = 220.0
    return make_evidence(seconds=make_seconds(hurt))


def paused(node: str = "node-1") -> Evidence:
    missed = make_curve(names.REPORTS_MISSED, node, lambda hurt: 6.0 if hurt else 0.0)
    evidence = make_evidence(seconds=make_seconds({node: {"silent": 1.0}}))
    return with_curve(evidence, missed)


def crashed(node: str = "node-1") -> Evidence:
    nodes = tuple(
        make_node(each, uptime_s=9.0 if each == node else 5000.0, leader="node-2") for each in NODES
    )
    return make_evidence(seconds=make_seconds({node: {"silent": 1.0}}), nodes=nodes)


def isolated(node: str = "node-1") -> Evidence:
    missed = [
        make_curve(names.PEER_HEARTBEATS_MISSED, each, lambda hurt: 40.0 if hurt else 0.0, of=node)
        for each in NODES
        if each != node
    ]
    back = [
        make_curve(names.PEER_HEARTBEATS_MISSED, node, lambda hurt: 40.0 if hurt else 0.0, of=each)
        for each in NODES
        if each != node
    ]
    hurt = {each: dict(SLOW_WRITES) for each in NODES}
    return with_curve(make_evidence(seconds=make_seconds(hurt)), *missed, *back)


def hogged(node: str = "node-1") -> Evidence:
    hurt = {each: dict(SLOW_WRITES) for each in NODES}
    return with_curve(
        make_evidence(seconds=make_seconds(hurt)),
        make_curve(names.PROCESS_CPU, node, lambda hurt: 6_000_000.0 if hurt else 1_000_000.0),
        make_curve(names.LOOP_DELAY, node, lambda hurt: 60.0 if hurt else 2.0),
    )


def blocked(node: str = "node-1") -> Evidence:
    hurt = {each: dict(SLOW_WRITES) for each in NODES}
    return with_curve(
        make_evidence(seconds=make_seconds(hurt)),
        make_curve(names.LOOP_DELAY, node, lambda hurt: 200.0 if hurt else 2.0),
    )


def crowded() -> Evidence:
    hurt = {each: dict(SLOW_WRITES) for each in NODES}
    return with_curve(
        make_evidence(seconds=make_seconds(hurt)),
        *(
            make_curve(names.ACCOUNT_DURATION, node, lambda hurt: 900.0 if hurt else 0.0, "loud")
            for node in NODES
        ),
    )


def mistuned(node: str = "node-1") -> Evidence:
    nodes = tuple(
        make_node(each, settings={"batch_records_max": 1 if each == node else 64}) for each in NODES
    )
    hurt = {each: dict(SLOW_WRITES) for each in NODES}
    slow = {("queue", node): 180.0, ("flush", node): 5.0}
    return make_evidence(
        seconds=make_seconds(hurt),
        nodes=nodes,
        requests_normal=tuple(
            make_request(at_ms=at, parts={("flush", node): 4.0}) for at in range(30)
        ),
        requests_now=tuple(make_request(at_ms=ONSET_MS + at, parts=slow) for at in range(30)),
    )


KINDS = {
    "fsync_stall": stalled,
    "process_pause": paused,
    "node_down": crashed,
    "isolated": isolated,
    "cpu_hog": hogged,
    "loop_block": blocked,
    "bad_config": mistuned,
}


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_named_on_the_node_that_has_it(kind: str, node: str) -> None:
    assert named(KINDS[kind](node)) == (node, kind)


def test_an_account_that_floods_the_fleet_is_named() -> None:
    assert named(crowded()) == ("tenant:loud", "noisy_tenant")


def test_an_account_is_not_blamed_for_growth_since_a_time_that_nobody_recorded() -> None:
    """Telemetry was killed and came back: before the onset there is nothing at all."""
    flooded = crowded()
    cut = tuple(
        replace(curve, points=tuple(p for p in curve.points if p.at_ms >= ONSET_MS - 10_000))
        for curve in flooded.curves
    )

    assert named(replace(flooded, curves=cut)) is None


def test_a_bad_setting_is_named_with_what_sets_it_back() -> None:
    claim = diagnose(mistuned()).claims[0]

    assert claim.remedy == {"name": "batch_records_max", "value": 64}
    assert (
        claim_from(
            entity=claim.entity,
            kind=claim.kind,
            score=claim.score,
            headline="",
            body=claim_body(claim),
        ).remedy
        == claim.remedy
    )


def test_an_earlier_fault_in_the_normal_time_does_not_become_what_is_usual() -> None:
    evidence = blocked("node-1")
    late = evidence.curve(names.LOOP_DELAY.name, "node-1")
    assert late is not None
    until_ms = evidence.normal[0] + 40_000
    points = tuple(
        replace(point, p99=180.0) if point.at_ms < until_ms else point for point in late.points
    )

    assert named(with_curve(evidence, replace(late, points=points))) == ("node-1", "loop_block")


def test_a_healthy_fleet_has_no_cause() -> None:
    found = diagnose(make_evidence())

    assert found.is_abstained


def test_a_load_that_grows_for_everybody_is_nobodys_fault() -> None:
    hurt = {
        node: {**SLOW_WRITES, "writes": 90.0, "flush_p99_ms": 60.0, "read_p99_ms": 50.0}
        for node in NODES
    }
    evidence = with_curve(
        make_evidence(seconds=make_seconds(hurt)),
        *(make_curve(names.LOOP_DELAY, node, lambda hurt: 60.0 if hurt else 2.0) for node in NODES),
        *(make_curve(names.PROCESS_CPU, node, lambda hurt: 5e6 if hurt else 1e6) for node in NODES),
        *(
            make_curve(names.ACCOUNT_DURATION, node, lambda hurt: 900.0 if hurt else 100.0, "demo")
            for node in NODES
        ),
    )

    found = diagnose(evidence)

    assert found.is_abstained
    assert any("went from" in line.sentence for line in found.moved)


def test_a_leader_that_moved_is_not_a_cause() -> None:
    nodes = tuple(
        make_node(each, term=9, leader="node-2", role="leader" if each == "node-2" else "follower")
        for each in NODES
    )
    hurt = {"node-0": {"write_p99_ms": 90.0, "slow_writes": 1.0}}

    assert named(make_evidence(nodes=nodes, seconds=make_seconds(hurt))) is None


def test_a_crash_explains_the_new_leader_and_the_broken_pairs() -> None:
    crash = crashed()
    missed = [
        make_curve(
            names.PEER_HEARTBEATS_MISSED, each, lambda hurt: 40.0 if hurt else 0.0, of="node-1"
        )
        for each in ("node-0", "node-2")
    ]

    assert named(with_curve(crash, *missed)) == ("node-1", "node_down")


def test_a_crash_explains_that_its_peers_loops_are_late() -> None:
    """They bring it up to date; nothing is wrong with them."""
    late = make_curve(names.LOOP_DELAY, "node-2", lambda hurt: 70.0 if hurt else 3.0)
    back = {"node-0": {"writes": 4.0}}
    nodes = tuple(make_node(each, uptime_s=9.0 if each == "node-0" else 5000.0) for each in NODES)
    evidence = make_evidence(seconds=make_seconds(back), nodes=nodes)

    assert named(with_curve(make_evidence(), late)) == ("node-2", "loop_block")
    assert named(with_curve(evidence, late)) == ("node-0", "node_down")


def test_a_pause_stays_the_cause_after_a_run_restarted_the_node() -> None:
    change = ChangeSeen(
        at_ms=ONSET_MS + 2_000,
        source="runs",
        kind="restart",
        title="run 3: hung-node on node-1",
        entity="node-1",
    )

    assert named(crashed("node-1")) == ("node-1", "node_down")
    assert named(replace(crashed("node-1"), changes=(change,))) == ("node-1", "process_pause")
    assert named(replace(crashed("node-0"), changes=(change,))) == ("node-0", "node_down")


def test_a_pause_is_told_from_a_crash_by_the_process_that_lives_on() -> None:
    assert named(paused()) == ("node-1", "process_pause")
    assert named(crashed()) == ("node-1", "node_down")


def test_a_node_that_is_silent_to_all_is_not_called_cut_off() -> None:
    evidence = paused()
    missed = [
        make_curve(
            names.PEER_HEARTBEATS_MISSED, each, lambda hurt: 40.0 if hurt else 0.0, of="node-1"
        )
        for each in ("node-0", "node-2")
    ]

    assert named(with_curve(evidence, *missed)) == ("node-1", "process_pause")


def test_two_equally_bad_nodes_are_not_guessed_between() -> None:
    hurt = {each: dict(SLOW_WRITES) for each in NODES}
    evidence = with_curve(
        make_evidence(seconds=make_seconds(hurt)),
        *(
            make_curve(names.LOOP_DELAY, node, lambda hurt: 200.0 if hurt else 2.0)
            for node in ("node-0", "node-1")
        ),
    )

    assert named(evidence) is None


def test_a_change_that_touches_nothing_that_moved_is_not_blamed() -> None:
    change = ChangeSeen(
        at_ms=ONSET_MS - 60_000,
        source="settings",
        kind="changed",
        title="cache_bytes: 64 MiB to 128 MiB",
        entity="node-0",
    )

    assert named(replace(stalled(), changes=(change,))) == ("node-1", "fsync_stall")


def test_old_changes_are_no_candidates() -> None:
    change = ChangeSeen(
        at_ms=ONSET_MS - 3_600_000,
        source="settings",
        kind="changed",
        title="batch_records_max: 64 to 1",
        entity="node-0",
    )

    assert named(make_evidence(changes=(change,))) is None


@pytest.mark.parametrize("kind", ["fsync_stall", "process_pause", "node_down"])
def test_without_the_admin_ports_the_rings_are_enough(kind: str) -> None:
    evidence = replace(
        KINDS[kind](),
        nodes=(),
        missing=(Silence(source="node-0", reason="nothing listens"),),
    )
    if kind == "node_down":
        uptime = make_curve(names.UPTIME, "node-1", lambda hurt: 3.0 if hurt else 5000.0)
        evidence = with_curve(evidence, uptime)

    found = diagnose(evidence)

    assert (found.claims[0].entity, found.claims[0].kind) == ("node-1", kind)
    assert found.missing == evidence.missing


def test_with_nothing_seen_nothing_is_said() -> None:
    blind = Evidence(
        taken_ms=END_MS,
        onset_ms=None,
        normal=(0, 0),
        now=(0, 0),
        missing=(Silence(source="telemetry", reason="nothing listens"),),
    )

    found = diagnose(blind)

    assert found.is_abstained and found.missing and not found.moved


def test_a_claim_carries_proofs_that_can_be_asked_again_and_its_doubts() -> None:
    found: Findings = diagnose(stalled())
    claim = found.claims[0]

    assert claim.headline == "Flush stalls on node-1, the leader"
    assert claim.lines[0].question is not None and claim.lines[0].question.ask == "points"
    assert "its peers now" in claim.lines[0].sentence
    assert claim.why_not and claim.wrong_if
    assert found.baselines["loudest metric"] == ("node-1", "fsync_stall")


def test_the_same_evidence_always_gives_the_same_answer() -> None:
    assert diagnose(isolated()) == diagnose(isolated())


def test_one_second_late_is_not_silence() -> None:
    steady = make_seconds()
    columns = {
        name: tuple(None if at == QUIET_S + 5 else value for at, value in enumerate(values))
        for name, values in steady.nodes["node-2"].items()
    }
    seconds = Seconds(start_s=steady.start_s, nodes={**steady.nodes, "node-2": columns})

    assert set(columns) == set(STEADY)
    assert named(make_evidence(seconds=seconds)) is None
