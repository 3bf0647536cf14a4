"""Three engines over real disks and sockets: no wake-up is lost, and errors stop a node."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from time import monotonic_ns

import pytest

from storage_core import engine as engine_module
from storage_core.catalog.commands import CreateContainer
from storage_core.config import EXIT_DISK_FAILED, EXIT_FOUND_WRONG
from storage_core.errors import Unavailable
from storage_core.peers import BULK
from telemetry import names
from telemetry.tracing import StageClock
from tests.storage_core.node.cores import ACCOUNT
from tests.storage_core.node.loops import play, until
from tests.storage_core.node.parts import Parts

BROKEN = """
import asyncio, os, socket, sys
import uvloop
from storage_core.errors import CorruptLog, FatalDisk
from storage_core.io.network import FrameSocket
from storage_core.io.tasks import spawn
from storage_core.node import _on_loop_error
error = {"assertion": AssertionError("wrong"), "log": CorruptLog(1, 2, 3, "rotten"),
    "disk": FatalDisk("gone")}[sys.argv[2]]
def fail(*_):
    raise error
async def fail_later():
    fail()
async def run():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_on_loop_error)
    one, other = tcp()
    where = sys.argv[1]
    if where == "frame":
        FrameSocket(loop, one, on_frame=fail, on_closed=print, queued_bytes_max=1)
        other.sendall(b"\\x01\\0\\0\\0x")
    elif where == "task":
        kept = set()
        spawn(loop, kept, fail_later())
    else:
        loop.call_soon(fail)
    await asyncio.wait_for(asyncio.Event().wait(), 20)
def tcp():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]
uvloop.run(run())
"""


@pytest.mark.parametrize("where", ["frame", "task", "callback"])
@pytest.mark.parametrize(
    ("error", "code"),
    [("assertion", EXIT_FOUND_WRONG), ("log", EXIT_FOUND_WRONG), ("disk", EXIT_DISK_FAILED)],
)
def test_a_node_that_is_wrong_stops_wherever_it_noticed(where: str, error: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, where, error], capture_output=True, check=False, timeout=50
    )

    assert done.returncode == code, done.stderr.decode()


def test_writes_need_no_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a write waits for wakes who waits: clocks may stand still."""

    async def story() -> None:
        parts = Parts(tmp_path)
        parts.start(0, 1, 2)
        leader = await parts.ready()
        monkeypatch.setattr(engine_module, "TICK_S", 1000.0)
        before = {part.engine.tick_count for part in parts.parts.values()}
        await until(
            lambda: before != {part.engine.tick_count for part in parts.parts.values()}, "one more"
        )

        ticks = [part.engine.tick_count for part in parts.parts.values()]
        for number in range(50):
            await leader.put(f"a{number}", b"x" * 1000)
            await parts.followers[0].put(f"b{number}", b"x" * 1000)
        await asyncio.gather(*(leader.put(f"c{number}", b"x" * 1000) for number in range(200)))

        now = [part.engine.tick_count for part in parts.parts.values()]
        assert sum(now) - sum(ticks) <= 2, "the last ones that were due before"
        await parts.crash(0, 1, 2)

    play(story)


def test_a_follower_forwards_reads_and_knows_all_stages(tmp_path: Path) -> None:
    async def story() -> None:
        parts = Parts(tmp_path)
        parts.start(0, 1, 2)
        await parts.ready()
        follower = parts.followers[0]

        outcome = await follower.put("a", b"x" * 200_000)
        found = await follower.store.replication_stages(outcome.index)

        assert await follower.read("a") == b"x" * 200_000
        leader = parts.leader.node
        stages = {(stage.node, stage.stage) for stage in found}
        assert {(leader, names.APPEND), (leader, names.FLUSH)} <= stages
        for part in parts.followers:
            peer = (names.PEER_RECEIVE, names.PEER_CHECK, names.PEER_APPEND, names.PEER_FLUSH)
            assert {(part.node, stage) for stage in peer} <= stages
        assert all(stage.start_ns <= stage.end_ns for stage in found)
        assert len({stage.batch_id for stage in found}) == 1
        await parts.crash(0, 1, 2)

    play(story)


def test_breaking_bulk_connections_doubles_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        parts = Parts(tmp_path)
        parts.start(0, 1, 2)
        leader = await parts.ready()
        follower = parts.followers[0]
        creations = [
            asyncio.ensure_future(follower.submit(CreateContainer(ACCOUNT, f"once-{number}")))
            for number in range(100)
        ]
        for _ in range(5):
            await asyncio.sleep(0)
            bulk = follower.peers.socket_of(BULK, leader.node)
            if bulk is not None:
                bulk.close()
            await until(lambda: follower.peers.socket_of(BULK, leader.node), "it dialled again")

        outcomes = await asyncio.gather(*creations)

        assert {outcome.code for outcome in outcomes} == {""}, "no second attempt was refused"
        await parts.crash(0, 1, 2)

    play(story)


def test_the_death_of_the_leader_is_hidden_from_who_waits(tmp_path: Path) -> None:
    async def story() -> None:
        parts = Parts(tmp_path)
        parts.start(0, 1, 2)
        leader = await parts.ready()
        one, other = parts.followers
        writes = [
            asyncio.ensure_future(part.submit(CreateContainer(ACCOUNT, f"w{part.node}-{number}")))
            for part in (one, other)
            for number in range(50)
        ]
        await asyncio.sleep(0)

        await parts.crash(leader.node)
        outcomes = await asyncio.gather(*writes)
        assert {outcome.code for outcome in outcomes} == {""}

        parts.start(leader.node)
        await parts.settled()
        indexes = {part.node: part.opened.core for part in parts.parts.values()}
        await until(lambda: len({c.applied_index for c in indexes.values()}) == 1, "all are equal")
        rows = [part.opened.index.scan(b"", b"\xff", 100_000) for part in parts.parts.values()]
        assert rows[0] == rows[1] == rows[2]
        await parts.crash(0, 1, 2)

    play(story)


def test_a_node_alone_ends_its_readers_and_writers_at_their_deadline(tmp_path: Path) -> None:
    async def story() -> None:
        parts = Parts(tmp_path)
        parts.start(0)
        part = parts.parts[0]
        deadline_us = monotonic_ns() // 1000 + 300_000

        with pytest.raises(Unavailable) as write:
            await part.store.submit(
                CreateContainer(ACCOUNT, "x"), b"", 0, clock=StageClock(), deadline_us=deadline_us
            )
        with pytest.raises(Unavailable) as read:
            await part.store.read_barrier(clock=StageClock(), deadline_us=deadline_us)

        assert (write.value.outcome, read.value.outcome) == ("none", "none")
        assert part.engine.barriers.waiting_count == part.engine.pending.parked_count == 0
        await parts.crash(0)

    play(story)
