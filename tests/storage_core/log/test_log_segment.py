"""Segment files: made ready, taken, recycled."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_core.log.format import GENESIS, LogPoint, Position, segment_name
from storage_core.log.segment import SegmentPool
from storage_core.log.slots import Watermark
from tests.storage_core.log.watched_disk import WatchedDisk

SEGMENT_BYTES = 8192


@pytest.fixture
def disk(tmp_path: Path) -> WatchedDisk:
    return WatchedDisk(tmp_path)


def make_pool(disk: WatchedDisk) -> SegmentPool:
    return SegmentPool(disk, segment_bytes=SEGMENT_BYTES)


def starting_at(segment_seq: int) -> Watermark:
    point = LogPoint(9, 1, Position(segment_seq, 0), 5)
    return Watermark(1, point, point)


def test_a_prepared_pool_hands_out_zeroed_files(disk: WatchedDisk) -> None:
    pool = make_pool(disk)
    pool.prepare()
    assert pool.ready_count == 2

    pool.ensure(0)

    assert pool.read(0, 0, SEGMENT_BYTES) == bytes(SEGMENT_BYTES)
    assert pool.unready_count == 0
    assert pool.log_bytes == 2 * SEGMENT_BYTES


def test_a_new_name_is_durable_before_the_segment_is_used(disk: WatchedDisk) -> None:
    pool = make_pool(disk)
    pool.prepare()
    disk.calls.clear()

    pool.ensure(0)
    pool.ensure(0)

    assert disk.calls == [("rename", segment_name(0)), ("fsync_dir", "log")]


def test_a_segment_is_there_at_once_even_if_none_was_ready(disk: WatchedDisk) -> None:
    pool = make_pool(disk)

    pool.ensure(5)

    assert pool.unready_count == 1
    assert disk.size(segment_name(5)) == SEGMENT_BYTES
    assert pool.live() == [5]


def test_a_released_segment_is_used_again_as_it_is(disk: WatchedDisk) -> None:
    pool = make_pool(disk)
    pool.ensure(0)
    disk.pwritev(segment_name(0), 100, [b"old bytes"])

    pool.release(0, starting_at(1))
    pool.ensure(3)

    assert pool.live() == [3]
    assert pool.read(3, 100, 9) == b"old bytes"
    assert pool.read(0, 100, 9) == b""


def test_a_segment_is_removed_where_enough_are_ready(disk: WatchedDisk) -> None:
    pool = make_pool(disk)
    pool.ensure(0)
    pool.prepare()

    pool.release(0, starting_at(1))

    assert pool.ready_count == 2
    assert not disk.exists(segment_name(0))
    assert disk.calls[-2:] == [("unlink", segment_name(0)), ("fsync_dir", "log")]


def test_a_segment_that_recovery_wants_is_not_released(disk: WatchedDisk) -> None:
    pool = make_pool(disk)
    pool.ensure(0)

    with pytest.raises(AssertionError):
        pool.release(0, Watermark(1, GENESIS, GENESIS))


def test_a_restart_finds_live_and_ready_files_and_drops_half_made_ones(disk: WatchedDisk) -> None:
    pool = make_pool(disk)
    pool.prepare()
    pool.ensure(0)
    pool.ensure(1)
    pool.prepare()
    disk.create_zeroed("log/zeroing.tmp", 10)

    again = make_pool(disk)

    assert again.live() == [0, 1]
    assert again.ready_count == 2
    assert not disk.exists("log/zeroing.tmp")
    again.ensure(2)
    again.release(0, starting_at(1))
    assert again.ready_count == 2
    assert len([name for name in disk.list("log") if name.startswith("ready")]) == 2
