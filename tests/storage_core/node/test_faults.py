"""Switches in whole nodes: the real path feels them, and feels them no more when they end."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from storage_core.client import FaultState
from storage_core.errors import DrillsForbidden, OrderRefused
from storage_core.fault_leases import CPU_HOG, FSYNC_STALL, ISOLATE, LOOP_BLOCK
from tests.storage_core.node.keepers import KeptNodes, play_kept
from tests.storage_core.node.loops import until

LONG_MS = 60_000


def test_a_stalled_flush_is_felt_by_a_write_and_over_when_cleared(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        leader, client = nodes.leader, nodes.client
        params = {"delay_ms": 150}
        await nodes.ask(
            client.set_fault, leader.node, FSYNC_STALL, params, ttl_ms=LONG_MS, owner="drill"
        )
        began_s = time.monotonic()
        await leader.put("slow", b"x")
        assert time.monotonic() - began_s >= 0.15, "the leader applies what it flushed itself"
        (state,) = await nodes.ask(client.faults, leader.node)
        assert (state.kind, state.params, state.owner) == (FSYNC_STALL, params, "drill")

        await nodes.ask(client.clear_faults, leader.node, "drill")

        assert await nodes.ask(client.faults, leader.node) == ()
        assert leader.opened.writer.before_flush is None
        await leader.put("quick", b"x")

    play_kept(tmp_path, story)


def test_a_switch_that_nobody_renews_ends(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        node, writer = nodes.leader.node, nodes.leader.opened.writer
        await nodes.ask(
            nodes.client.set_fault, node, FSYNC_STALL, {"delay_ms": 1}, ttl_ms=100, owner="drill"
        )
        assert writer.before_flush is not None

        await until(lambda: writer.before_flush is None, "the lease ends")

        assert nodes.kept[node].faults.states() == ()

    play_kept(tmp_path, story)


@pytest.mark.parametrize("direction", ["both", "in", "out"])
def test_an_isolated_leader_loses_the_lead_and_comes_back(tmp_path: Path, direction: str) -> None:
    async def story(nodes: KeptNodes) -> None:
        former, term = nodes.leader, nodes.leader.engine.core.replica.term
        others = nodes.parts.followers
        params = {"peers": [part.node for part in others], "direction": direction}
        await nodes.ask(
            nodes.client.set_fault, former.node, ISOLATE, params, ttl_ms=LONG_MS, owner="drill"
        )

        await until(lambda: any(part.leads for part in others), "another one leads")
        await until(lambda: not former.leads, "the isolated one gives up")
        (leader,) = [part for part in others if part.leads]
        await leader.put("meanwhile", b"x")
        assert leader.engine.core.replica.term > term

        await nodes.ask(nodes.client.clear_faults, former.node)
        await nodes.parts.settled()
        assert await former.read("meanwhile") == b"x"

    play_kept(tmp_path, story)


def test_a_hog_burns_in_threads_that_end(tmp_path: Path) -> None:
    def busy() -> list[str]:
        return [t.name for t in threading.enumerate() if t.name.startswith("busy-")]

    async def story(nodes: KeptNodes) -> None:
        node = nodes.leader.node
        before_s = time.process_time()
        await nodes.ask(
            nodes.client.set_fault, node, CPU_HOG, {"share": 1.5}, ttl_ms=LONG_MS, owner="drill"
        )
        assert len(busy()) == 2
        await until(lambda: time.process_time() - before_s > 0.3, "time is burnt")

        await nodes.ask(nodes.client.clear_faults, node)

        await until(lambda: not busy(), "the threads end")

    play_kept(tmp_path, story)


def test_a_blocked_loop_stands_still_until_its_lease_ends(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        node, faults = nodes.leader.node, nodes.kept[nodes.leader.node].faults
        params = {"block_ms": 60, "every_ms": 80}
        spent_s, began_s = time.thread_time(), time.monotonic()
        await nodes.ask(nodes.client.set_fault, node, LOOP_BLOCK, params, ttl_ms=300, owner="drill")
        await until(lambda: faults.states() == (), "the lease ends")

        stood_still_s = time.monotonic() - began_s - (time.thread_time() - spent_s)
        assert stood_still_s >= 0.12, "at least two blocks, in which this thread did nothing"

    play_kept(tmp_path, story)


def test_a_fleet_that_forbids_drills_takes_no_switch(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        with pytest.raises(DrillsForbidden, match="HOLDFAST_DRILLS=0"):
            await nodes.ask(
                nodes.client.set_fault, 0, CPU_HOG, {"share": 1}, ttl_ms=1000, owner="drill"
            )

        assert await nodes.ask(nodes.client.faults, 0) == ()
        await nodes.ask(nodes.client.clear_faults, 0)

    play_kept(tmp_path, story, drills=False)


def test_a_renewal_outlasts_the_first_lease(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        set_fault, params = nodes.client.set_fault, {"delay_ms": 1}
        await nodes.ask(set_fault, 0, FSYNC_STALL, params, ttl_ms=200, owner="drill")
        await nodes.ask(set_fault, 0, FSYNC_STALL, params, ttl_ms=LONG_MS, owner="drill")

        (state,) = await nodes.ask(nodes.client.faults, 0)

        assert isinstance(state, FaultState)
        assert state.left_ms > 200

    play_kept(tmp_path, story)


def test_a_lease_without_end_is_refused(tmp_path: Path) -> None:
    async def story(nodes: KeptNodes) -> None:
        with pytest.raises(OrderRefused, match="ttl_ms: must be a whole number from 100 to 60000"):
            await nodes.ask(
                nodes.client.set_fault, 0, CPU_HOG, {"share": 1}, ttl_ms=60_001, owner="drill"
            )

    play_kept(tmp_path, story)
