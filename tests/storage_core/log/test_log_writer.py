"""What is durable when, and what happens when the disk refuses."""

from __future__ import annotations

import errno
import queue
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from storage_core.errors import FatalDisk
from storage_core.io.checksum import crc64
from storage_core.log.entries import EntryLog
from storage_core.log.format import GENESIS, segment_name
from storage_core.log.home import open_home
from storage_core.log.recovery import recover
from storage_core.log.segment import SegmentPool
from storage_core.log.slots import Watermark
from storage_core.log.writer import LogThread, LogWork, LogWriter, WriteDone
from storage_core.raft.messages import HardState
from tests.storage_core.log.samples import (
    IDENTITY,
    OWNER,
    SEGMENT_BYTES,
    make_entries,
    watermark_at,
)
from tests.storage_core.log.watched_disk import WatchedDisk

# Hard state: write, flush. Two new segments: create, extend, flush, rename, flush of the directory.
# Two writes and two flushes.
CHANGES_COUNT = 2 + 2 * 5 + 4
STATE = HardState(sequence=1, term=3, voted_for=2, commit_index=0)


class Node:
    """The disk side of a node, over a real directory."""

    def __init__(self, root: Path) -> None:
        self.disk = WatchedDisk(root)
        self.home = open_home(
            self.disk, owner=OWNER, crc64=crc64, segment_bytes=SEGMENT_BYTES, created_ms=1
        )
        self.pool = SegmentPool(self.disk, segment_bytes=SEGMENT_BYTES)
        self.writer = LogWriter(
            disk=self.disk,
            pool=self.pool,
            owner=OWNER,
            crc64=crc64,
            hard_state_slot=self.home.hard_state_slot,
            watermark_slot=self.home.watermark_slot,
        )
        found = recover(
            watermark=self.home.watermark,
            applied_index=0,
            read=self.pool.read,
            identity=IDENTITY,
            crc64=crc64,
            segment_bytes=SEGMENT_BYTES,
        )
        self.log = EntryLog(
            start=self.home.watermark.start,
            identity=IDENTITY,
            crc64=crc64,
            read=self.pool.read,
            segment_bytes=SEGMENT_BYTES,
            table=found.table,
        )
        self.disk.calls.clear()

    def work(
        self,
        write_id: int,
        sizes: Sequence[int] = (),
        *,
        hard_state: HardState | None = None,
        watermark: Watermark | None = None,
    ) -> LogWork:
        self.log.append(make_entries(self.log.last_index + 1, sizes))
        return LogWork(write_id, hard_state, self.log.take_write(), watermark)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "node-2")


def test_nothing_completes_before_its_flush(node: Node) -> None:
    node.pool.ensure(0)
    node.disk.calls.clear()

    (done,) = node.writer.run([node.work(7, [100, 200])])

    assert node.disk.calls == [("pwritev", segment_name(0)), ("fdatasync", segment_name(0))]
    assert done.write_id == 7
    assert done.append_start_ns <= done.appended_ns <= done.flushed_ns


def test_hard_state_is_durable_before_the_entries_of_its_term(node: Node) -> None:
    node.pool.ensure(0)
    node.disk.calls.clear()

    node.writer.run([node.work(1, [100], hard_state=STATE)])

    assert node.disk.calls == [
        ("pwritev", "hard-state"),
        ("fdatasync", "hard-state"),
        ("pwritev", segment_name(0)),
        ("fdatasync", segment_name(0)),
    ]


def test_the_watermark_is_written_after_what_it_vouches_for(node: Node) -> None:
    node.pool.ensure(0)
    work = node.work(1, [100])
    node.disk.calls.clear()

    node.writer.run([work._replace(watermark=watermark_at(node.log, 1))])

    assert node.disk.calls[-3:] == [
        ("fdatasync", segment_name(0)),
        ("pwritev", "watermark"),
        ("fdatasync", "watermark"),
    ]


def test_a_write_over_two_segments_flushes_both(node: Node) -> None:
    node.writer.run([node.work(1, [700, 700])])

    flushed = [name for verb, name in node.disk.calls if verb == "fdatasync"]
    assert {segment_name(0), segment_name(1)} <= set(flushed)
    assert node.disk.calls.index(("fsync_dir", "log")) < node.disk.calls.index(
        ("pwritev", segment_name(0))
    )


def test_work_that_queued_up_is_flushed_once(node: Node) -> None:
    node.pool.ensure(0)
    works = [node.work(write_id, [50]) for write_id in (1, 2, 3)]
    node.disk.calls.clear()

    dones = node.writer.run(works)

    assert [done.write_id for done in dones] == [1, 2, 3]
    assert [verb for verb, _ in node.disk.calls] == ["pwritev"] * 3 + ["fdatasync"]


def test_hard_states_are_written_in_turn_and_survive_a_torn_one(node: Node) -> None:
    for sequence in range(1, 6):
        state = STATE._replace(sequence=sequence, term=10 + sequence)
        node.writer.run([LogWork(sequence, state, None, None)])
        node.disk.fsync_dir(".")
    again = Node(node.disk.root)
    assert again.home.hard_state == HardState(5, 15, 2, 0)

    slot = again.home.hard_state_slot
    again.disk.pwritev("hard-state", slot * 4096 + 20, [b"torn"])

    torn = Node(node.disk.root)
    assert torn.home.hard_state == HardState(4, 14, 2, 0)
    assert torn.home.hard_state_slot != slot


def test_a_restart_finds_what_was_written(node: Node) -> None:
    node.writer.run([node.work(1, [700, 700, 20], hard_state=STATE)])
    node.writer.run([LogWork(2, None, None, watermark_at(node.log, 2))])

    again = Node(node.disk.root)

    assert again.log.table.end == node.log.table.end
    assert again.home.hard_state == STATE
    assert again.home.watermark.durable.index == 2
    assert again.home.watermark.start == GENESIS


@pytest.mark.parametrize("error_number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("at", range(CHANGES_COUNT))
def test_any_failed_change_is_fatal_and_nothing_is_tried_after_it(
    node: Node, at: int, error_number: int
) -> None:
    work = node.work(1, [700, 700], hard_state=STATE)
    node.disk.fail(at=at, error_number=error_number)

    with pytest.raises(FatalDisk):
        node.writer.run([work])
    calls_count = len(node.disk.calls)
    with pytest.raises(FatalDisk):
        node.writer.run([LogWork(2, STATE, None, None)])

    assert len(node.disk.calls) == calls_count == at + 1


def test_the_write_above_makes_that_many_changes(node: Node) -> None:
    node.writer.run([node.work(1, [700, 700], hard_state=STATE)])

    # So that the test before this one reaches all of them.
    assert len(node.disk.calls) == CHANGES_COUNT


def test_the_watermark_never_covers_what_may_be_replaced(node: Node) -> None:
    node.writer.run([node.work(1, [10, 10, 10])])
    node.writer.run([LogWork(2, None, None, watermark_at(node.log, 2))])
    node.log.truncate(2)

    with pytest.raises(AssertionError):
        node.writer.run([node.work(3, [10])])


class Owner:
    """The thread that a LogThread reports to: calls wait until it runs them."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[tuple[Callable[..., None], tuple[object, ...]]]
        self.calls = queue.SimpleQueue()
        self.dones: list[WriteDone] = []
        self.errors: list[FatalDisk] = []

    def post(self, call: Callable[..., None], *arguments: object) -> None:
        self.calls.put((call, arguments))

    def run_one(self) -> None:
        call, arguments = self.calls.get(timeout=10)
        call(*arguments)

    def thread(self, writer: LogWriter) -> LogThread:
        return LogThread(
            writer, post=self.post, completed=self.dones.extend, failed=self.errors.append
        )


def test_the_log_thread_completes_in_order_on_the_owners_thread(node: Node) -> None:
    owner = Owner()
    thread = owner.thread(node.writer)
    for write_id in range(20):
        thread.submit(node.work(write_id, [100]))
    assert not thread.is_idle

    while len(owner.dones) < 20:
        owner.run_one()

    assert [done.write_id for done in owner.dones] == list(range(20))
    assert Node(node.disk.root).log.last_index == 20
    thread.close()


def test_an_idle_log_thread_lets_its_owner_write_inline(node: Node) -> None:
    owner = Owner()
    thread = owner.thread(node.writer)

    done = thread.write_inline(node.work(1, [100]))
    assert done.write_id == 1

    thread.submit(node.work(2, [100]))
    with pytest.raises(AssertionError):
        thread.write_inline(LogWork(3, STATE, None, None))
    owner.run_one()
    assert thread.is_idle
    thread.close()


def test_the_log_thread_reports_a_failure_once_and_stops(node: Node) -> None:
    owner = Owner()
    thread = owner.thread(node.writer)
    node.disk.fail(at=0, error_number=errno.EIO)

    thread.submit(LogWork(1, STATE, None, None))
    owner.run_one()
    thread.submit(LogWork(2, STATE, None, None))
    thread.close()

    assert [type(error) for error in owner.errors] == [FatalDisk]
    assert owner.dones == []
