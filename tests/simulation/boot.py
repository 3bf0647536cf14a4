"""From a simulated disk to a log that may speak: the order of `storage_core.startup`."""

from __future__ import annotations

from typing import Tuple

from storage_core.log.entries import EntryLog
from storage_core.log.format import Identity, segment_name
from storage_core.log.home import Home, open_home
from storage_core.log.recovery import recover
from storage_core.log.segment import SegmentPool
from storage_core.log.slots import Owner
from storage_core.log.writer import HARD_STATE_NAME
from tests.simulation.checksum import crc64
from tests.simulation.disk import SimDisk

IDENTITY = Identity(7, 1)
# Small, so that a run of seconds fills, cleans and recycles many.
SEGMENT_BYTES = 24 * 1024
CACHE_BYTES = 32 * 1024


def flush_everything(disk: SimDisk, pool: SegmentPool, home: Home) -> None:
    """Before any index or vote is announced: what was read back may be in memory only."""
    first = home.watermark.durable.position.segment_seq
    for segment_seq in pool.live():
        if segment_seq >= first:
            disk.fdatasync(segment_name(segment_seq))
    disk.fdatasync(HARD_STATE_NAME)
    disk.fsync_dir("log")


def open_log(disk: SimDisk, owner: Owner, applied_index: int) -> Tuple[Home, SegmentPool, EntryLog]:
    """Recover what the disk holds, and flush it. Raises CorruptLog, Interrupted."""
    home = open_home(disk, owner=owner, crc64=crc64, segment_bytes=SEGMENT_BYTES, created_ms=0)
    pool = SegmentPool(disk, segment_bytes=SEGMENT_BYTES, ready_count_max=1)
    recovered = recover(
        watermark=home.watermark,
        applied_index=applied_index,
        read=pool.read,
        identity=IDENTITY,
        crc64=crc64,
        segment_bytes=SEGMENT_BYTES,
    )
    log = EntryLog(
        start=recovered.table.start,
        identity=IDENTITY,
        crc64=crc64,
        read=pool.read,
        segment_bytes=SEGMENT_BYTES,
        cache_bytes=CACHE_BYTES,
        table=recovered.table,
    )
    flush_everything(disk, pool, home)
    return home, pool, log
