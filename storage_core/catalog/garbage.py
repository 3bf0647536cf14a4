"""What was deleted, or forgotten, and must go without holding anyone up.

Problem: one entry may delete a container of millions of blobs, yet no entry may hold up the loop.
Idea: such an entry leaves a garbage row (a container's generation, a layout, a stage), and the
leader proposes `Reap` while there are any; each takes a bounded number of rows. Uploads and stages
that nobody finishes stand among the timers in order of time, and `ExpireUploads` takes the oldest.

Invariant: garbage is invisible to every reader but counts as live until its rows are gone, so a
segment is never recycled while a row still names a body in it.
"""

from __future__ import annotations

from typing import Optional

from storage_core.catalog import keys, layouts, rows, stages, uploads
from storage_core.catalog.batch import Batch, Stamp
from storage_core.catalog.blob_row import BlobRow
from storage_core.catalog.commands import (
    ENTRY_ROWS_MAX,
    UNCOMMITTED_EXPIRY_MS,
    UPLOAD_EXPIRY_MS,
    Command,
    ExpireUploads,
    Reap,
)
from storage_core.index.port import IndexPort

# An upload of 5,000 MiB has 313 pages, and no entry may drop many of these.
_UPLOADS_AT_ONCE = 3
_STAGES_AT_ONCE = 2


def reap(batch: Batch, stamp: Stamp, command: Reap) -> str:
    """Take rows from the first garbage there is. One kind of it an entry is enough."""
    first = batch.scan(keys.GARBAGE, keys.successor(keys.GARBAGE), 1)
    if not first:
        return ""
    key, raw = first[0]
    rows_max = max(1, min(command.rows_max, ENTRY_ROWS_MAX))
    kind = key[1:2]
    if kind == keys.LAYOUT_GARBAGE:
        layouts.reap(batch, key, raw)
    elif kind == keys.STAGE_GARBAGE:
        stages.reap(batch, key, rows_max)
    else:
        assert kind == keys.CONTAINER_GARBAGE, key
        _reap_container(batch, key, rows_max)
    return ""


def _reap_container(batch: Batch, key: bytes, rows_max: int) -> None:
    generation = keys.number_of(key)
    prefix = keys.blobs_of(generation)
    found = batch.scan(prefix, keys.successor(prefix), rows_max)
    taken = 0
    for blob_key, raw in found:
        if taken >= rows_max:
            return
        taken += 1 + layouts.drop(batch, BlobRow(raw, batch.get))
        batch.delete(blob_key)
    prefix = keys.stages_of(generation)
    found = batch.scan(prefix, keys.successor(prefix), rows_max)
    for stage_key, raw in found:
        if taken and taken + stages.BLOCKS_DROPPED_AT_ONCE > rows_max:
            return
        taken += stages.drop(batch, stage_key, rows.decode_stage(raw))
    if not taken:
        batch.delete(key)


def expire(batch: Batch, stamp: Stamp, command: ExpireUploads) -> str:
    """Drop the few oldest of what was not touched since; set the others' timers anew."""
    start = keys.timers_before(keys.UPLOAD_TIMER, 0)
    stop = keys.timers_before(keys.UPLOAD_TIMER, command.uploads_before_ms)
    found = batch.scan(start, stop, _UPLOADS_AT_ONCE)
    for timer, upload_id in found:
        uploads.expire(batch, upload_id, command.uploads_before_ms, timer)
    if found:
        return ""
    start = keys.timers_before(keys.STAGE_TIMER, 0)
    stop = keys.timers_before(keys.STAGE_TIMER, command.blocks_before_ms)
    for timer, stage_key in batch.scan(start, stop, _STAGES_AT_ONCE):
        stages.expire(batch, stage_key, command.blocks_before_ms, timer)
    return ""


def due(index: IndexPort, time_ms: int) -> Optional[Command]:
    """What the leader should propose to tidy up now, or None."""
    if index.scan(keys.GARBAGE, keys.successor(keys.GARBAGE), 1):
        return Reap()
    uploads_before_ms = max(0, time_ms - UPLOAD_EXPIRY_MS)
    blocks_before_ms = max(0, time_ms - UNCOMMITTED_EXPIRY_MS)
    for kind, before_ms in (
        (keys.UPLOAD_TIMER, uploads_before_ms),
        (keys.STAGE_TIMER, blocks_before_ms),
    ):
        start = keys.timers_before(kind, 0)
        if index.scan(start, keys.timers_before(kind, before_ms), 1):
            return ExpireUploads(uploads_before_ms, blocks_before_ms)
    return None
