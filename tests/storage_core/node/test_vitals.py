"""What a node says of its own health, told apart by what was done to it."""

from __future__ import annotations

import time
from pathlib import Path

from storage_core.fault_leases import ISOLATE
from storage_core.vitals import LATE_S, read_thread_times
from telemetry import names
from telemetry.metrics import MetricSet
from tests.storage_core.node.keepers import KeptNodes, play_kept
from tests.storage_core.node.loops import until


def missed(metrics: MetricSet) -> dict[str, int]:
    return {
        str(attributes[names.PEER]): counter.value
        for attributes, counter in metrics.counters_of(names.PEER_HEARTBEATS_MISSED)
    }


def test_a_leader_times_its_peers_and_a_cut_is_seen_from_both_ends(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        leader = nodes.leader.node
        cut, sound = (part.node for part in nodes.parts.followers)
        trips = {
            str(attributes[names.PEER]): histogram
            for attributes, histogram in nodes.kept[leader].metrics.histograms_of(
                names.PEER_ROUND_TRIP
            )
        }
        await until(lambda: all(each.count for each in trips.values()), "round trips")
        assert set(trips) == {f"node-{cut}", f"node-{sound}"}
        before = missed(nodes.kept[leader].metrics)[f"node-{sound}"]
        params = {"peers": [leader], "direction": "both"}

        await nodes.ask(nodes.client.set_fault, cut, ISOLATE, params, ttl_ms=60_000, owner="drill")

        at_leader, at_cut = nodes.kept[leader].metrics, nodes.kept[cut].metrics
        await until(lambda: missed(at_leader)[f"node-{cut}"] >= 3, "the leader misses it")
        await until(lambda: missed(at_cut)[f"node-{leader}"] >= 3, "it misses the leader")
        assert missed(at_leader)[f"node-{sound}"] - before < 3

    play_kept(tmp_path, story)


def test_a_loop_that_was_held_is_late_and_blames_nobody(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        leader = nodes.leader.node
        metrics = nodes.kept[leader].metrics
        ((_, delay),) = metrics.histograms_of(names.LOOP_DELAY)
        await until(lambda: delay.count > 2, "samples")
        before = missed(metrics)
        held_until_s = time.monotonic() + 3 * LATE_S
        while time.monotonic() < held_until_s:
            pass
        count = delay.count

        await until(lambda: delay.count > count, "the late sample")

        assert (delay.quantile_ns(1.0) or 0) > LATE_S * 1e9
        assert missed(metrics) == before

    play_kept(tmp_path, story)


def test_time_on_a_core_is_counted(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        metrics = nodes.kept[0].metrics
        ((_, process),) = metrics.counters_of(names.PROCESS_CPU)
        ((_, loop),) = metrics.counters_of(names.LOOP_CPU)

        await until(lambda: loop.value, "a second went by")

        assert process.value >= loop.value > 0

    play_kept(tmp_path, story)


def test_a_kernel_without_scheduler_statistics_is_no_error(tmp_path: Path) -> None:
    assert read_thread_times(str(tmp_path / "absent")) is None
    (tmp_path / "schedstat").write_text("1 2\n")
    assert read_thread_times(str(tmp_path / "schedstat")) is None
    (tmp_path / "schedstat").write_text("5 7 1\n")
    assert read_thread_times(str(tmp_path / "schedstat")) == (5, 7)
