"""The order of `storage_core.upkeep`: flush the index, mark, and only then let segments go."""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Tuple

from storage_core.catalog.commands import Move
from storage_core.log import gc
from storage_core.log.entries import EntryLog
from storage_core.log.format import Extent
from storage_core.log.recovery import walk_segment
from storage_core.log.segment import SegmentPool
from storage_core.log.slots import Watermark
from tests.simulation.checksum import crc64

RETAIN_SEGMENTS = 1
MOVE_BYTES_MAX = 4_000


def compact(log: EntryLog, *, limit_index: int) -> None:
    """Forget in memory what nobody needs to recover or to catch up."""
    to_index = gc.compact_to(log.table, limit_index=limit_index, retain_segments=RETAIN_SEGMENTS)
    if to_index > log.table.start.index:
        log.compact(to_index)


def next_watermark(log: EntryLog, last: Watermark, applied_index: int) -> Optional[Watermark]:
    """None where nothing was applied since the last one."""
    if applied_index <= last.durable.index or applied_index < log.first_index:
        return None
    return Watermark(last.sequence + 1, log.point_at(applied_index), log.table.start)


def release(
    pool: SegmentPool,
    log: EntryLog,
    live_bytes: Dict[int, int],
    *,
    durable: Watermark,
    limit_index: int,
) -> List[int]:
    """Recycle the segments that hold nothing live; `durable` is the watermark on disk."""
    # By place: the log in memory may begin later than the watermark on disk does.
    facts = [
        fact
        for fact in gc.segment_facts(pool.live(), live_bytes, log.table)
        if fact.segment_seq < durable.start.position.segment_seq
    ]
    start_index = log.table.start.index
    released = gc.releasable(facts, limit_index=limit_index, start_index=start_index)
    for segment_seq in released:
        pool.release(segment_seq, durable)
    return released


def plan_moves(
    pool: SegmentPool,
    log: EntryLog,
    live_bytes: Dict[int, int],
    owner_of: Callable[[bytes, Extent], Optional[Move]],
    *,
    limit_index: int,
) -> List[Tuple[Move, Extent]]:
    """What the leader re-appends to empty the segment that frees most."""
    victims = gc.choose_victims(
        gc.segment_facts(pool.live(), live_bytes, log.table),
        limit_index=limit_index,
        start_index=log.table.start.index,
        open_segment_seq=log.table.end.position.segment_seq,
        segment_bytes=log.segment_bytes,
    )
    if not victims:
        return []
    records = walk_segment(
        segment_seq=victims[0],
        offset=0,
        read=pool.read,
        identity=log.identity,
        crc64=crc64,
        segment_bytes=log.segment_bytes,
    )
    moves, _ = gc.plan_moves(records, owner_of, MOVE_BYTES_MAX)
    return moves
