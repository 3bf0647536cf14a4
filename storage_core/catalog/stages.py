"""Uncommitted blocks: everything put by Put Block and not yet named by a list.

Problem: a list of 50,000 blocks, or the Put Blob that discards as many, must not touch 50,000 rows
in one entry. Idea: the uncommitted blocks of one blob form a *stage* with a number of its own, the
index of the entry that opened it. Dropping a small stage deletes its rows; dropping a large one
deletes the stage's row only, and leaves the blocks to the reaper under that number.

Invariant: a stage has at least one block, all ids equally long, and stands among the timers until
it is dropped; untouched for a week, it expires.
"""

from __future__ import annotations

from typing import List, Optional, Tuple

from storage_core.catalog import extents, keys, rows
from storage_core.catalog.batch import Batch, Stamp
from storage_core.catalog.commands import BLOCK_ID_BYTES_MAX, UNCOMMITTED_COUNT_MAX
from storage_core.catalog.rows import StagedBlock, StageRow

BLOCKS_DROPPED_AT_ONCE = 400


def find(batch: Batch, key: bytes) -> Optional[StageRow]:
    """The stage at `keys.stage(...)`."""
    raw = batch.get(key)
    return None if raw is None else rows.decode_stage(raw)


def block(batch: Batch, stage: StageRow, block_id: bytes) -> Optional[StagedBlock]:
    raw = batch.get(keys.staged_block(stage.stage_id, block_id))
    return None if raw is None else rows.decode_staged_block(raw)


def add_refusal(batch: Batch, stage: Optional[StageRow], block_id: bytes) -> str:
    """Why a block of this id can't join the stage, or ""."""
    if not 0 < len(block_id) <= BLOCK_ID_BYTES_MAX:
        return "InvalidBlobOrBlock"
    if stage is None:
        return ""
    if len(block_id) != stage.id_bytes:
        return "InvalidBlobOrBlock"
    if stage.block_count >= UNCOMMITTED_COUNT_MAX and block(batch, stage, block_id) is None:
        return "BlockCountExceedsLimit"
    return ""


def add(batch: Batch, stamp: Stamp, key: bytes, block_id: bytes, staged: StagedBlock) -> None:
    """Put the block, in place of one of the same id; open the stage if it is the first."""
    stage = find(batch, key)
    if stage is None:
        stage = StageRow(
            stage_id=stamp.log_index,
            timer_ms=stamp.time_ms,
            touched_ms=stamp.time_ms,
            size=0,
            block_count=0,
            id_bytes=len(block_id),
        )
        batch.put(keys.timer(keys.STAGE_TIMER, stage.timer_ms, stage.stage_id), key)
        batch.stage_count += 1
    old = block(batch, stage, block_id)
    if old is not None:
        batch.release(old.packed)
    batch.hold(staged.packed)
    stage = stage._replace(
        touched_ms=stamp.time_ms,
        size=stage.size + staged.size - (old.size if old is not None else 0),
        block_count=stage.block_count + (old is None),
    )
    batch.put(key, rows.encode_stage(stage))
    block_key = keys.staged_block(stage.stage_id, block_id)
    batch.put(block_key, rows.encode_staged_block(staged))


def drop(batch: Batch, key: bytes, stage: StageRow) -> int:
    """Discard the stage, its blocks at once or by the reaper. Returns how many rows it took."""
    assert batch.stage_count > 0, "a stage is counted from its first block on"
    batch.stage_count -= 1
    batch.delete(key)
    batch.delete(keys.timer(keys.STAGE_TIMER, stage.timer_ms, stage.stage_id))
    if stage.block_count > BLOCKS_DROPPED_AT_ONCE:
        batch.put(keys.garbage(keys.STAGE_GARBAGE, stage.stage_id), b"")
        return 3
    return 2 + _drop_blocks(batch, stage.stage_id, BLOCKS_DROPPED_AT_ONCE)


def _drop_blocks(batch: Batch, stage_id: int, limit: int) -> int:
    prefix = keys.staged_blocks_of(stage_id)
    found = batch.scan(prefix, keys.successor(prefix), limit)
    for key, raw in found:
        batch.release(rows.decode_staged_block(raw).packed)
        batch.delete(key)
    return len(found)


def reap(batch: Batch, key: bytes, limit: int) -> int:
    """Drop up to `limit` blocks of a discarded stage; the garbage row goes with the last."""
    taken = _drop_blocks(batch, keys.number_of(key), limit)
    if taken < limit:
        batch.delete(key)
    return taken


def expire(batch: Batch, key: bytes, before_ms: int, timer: bytes) -> int:
    """The timer went off: drop the stage, or set the timer again if it was touched since."""
    stage = find(batch, key)
    assert stage is not None, "a stage and its timer come and go together"
    if stage.touched_ms < before_ms:
        return drop(batch, key, stage)
    batch.delete(timer)
    stage = stage._replace(timer_ms=stage.touched_ms)
    batch.put(keys.timer(keys.STAGE_TIMER, stage.timer_ms, stage.stage_id), key)
    batch.put(key, rows.encode_stage(stage))
    return 3


def places(
    batch: Batch, key: bytes, block_id: bytes, wanted: bytes
) -> Optional[Tuple[bytes, StagedBlock, List[int]]]:
    """Where an uncommitted block names the packed extent; None where it does not."""
    stage = find(batch, key)
    staged = None if stage is None else block(batch, stage, block_id)
    if stage is None or staged is None:
        return None
    found = extents.occurrences(staged.packed, wanted)
    if not found:
        return None
    return keys.staged_block(stage.stage_id, block_id), staged, found


def replace(batch: Batch, key: bytes, block_id: bytes, wanted: bytes, new: bytes) -> int:
    """Name `new` where the block named `wanted`; return how often that was."""
    place = places(batch, key, block_id, wanted)
    if place is None:
        return 0
    block_key, staged, found = place
    moved = staged._replace(packed=extents.replaced(staged.packed, found, new))
    batch.put(block_key, rows.encode_staged_block(moved))
    return len(found)
