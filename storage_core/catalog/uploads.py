"""Chunks on their way to become a blob or a block.

Problem: a body of gigabytes comes as thousands of entries, and its final entry must not touch as
many rows. Idea: an upload is one row that counts, and pages of 64 packed extents; a chunk changes
the row and the last page, the final entry takes the pages away and hands their bytes on.

Invariant: `chunk_count` chunks came with sequences 0 .. chunk_count - 1, each once, all for the
same owner (container generation, blob, block), and their lengths sum to `size`. Unfinished uploads
stand among the timers and are dropped when nobody touched them for an hour.
"""

from __future__ import annotations

from typing import List, Optional, Tuple

from storage_core.catalog import extents, keys, packing, rows
from storage_core.catalog.batch import Batch, Stamp
from storage_core.catalog.commands import (
    PUT_BLOB_BYTES_MAX,
    UPLOAD_ID_BYTES,
    AbortUpload,
    Chunk,
)
from storage_core.catalog.rows import UploadRow
from storage_core.log.format import Extent

# 16 MiB of chunks. A page is rewritten for each chunk, so it stays small.
PAGE_EXTENTS = 64


def owner_of(name: bytes, block_id: bytes) -> bytes:
    return packing.pack_short(name) + block_id


def find(batch: Batch, upload_id: bytes) -> Optional[UploadRow]:
    raw = batch.get(keys.upload(upload_id))
    return None if raw is None else rows.decode_upload(raw)


def chunk(batch: Batch, stamp: Stamp, command: Chunk, body: Optional[Extent]) -> str:
    """Take one more chunk. `body` None asks only whether there is a container for it."""
    container = batch.container(command.account, command.container)
    if container is None:
        return "ContainerNotFound"
    if body is None:
        return ""
    if len(command.upload_id) != UPLOAD_ID_BYTES:
        return "InvalidBlobOrBlock"
    owner = owner_of(command.blob.encode("utf-8"), command.block_id)
    row = find(batch, command.upload_id)
    if row is None:
        row = UploadRow(
            timer_index=stamp.log_index,
            timer_ms=stamp.time_ms,
            touched_ms=stamp.time_ms,
            size=0,
            generation=container.generation,
            chunk_count=0,
            owner=owner,
        )
    if row.generation != container.generation or row.owner != owner:
        return "InvalidBlobOrBlock"
    if command.sequence < row.chunk_count:
        return ""
    if (
        command.sequence > row.chunk_count
        or not body.length
        or row.size + body.length > PUT_BLOB_BYTES_MAX
    ):
        return "InvalidBlobOrBlock"
    if not row.chunk_count:
        timer = keys.timer(keys.UPLOAD_TIMER, row.timer_ms, row.timer_index)
        batch.put(timer, command.upload_id)
    _append(batch, command.upload_id, row, extents.pack(*body))
    row = row._replace(
        touched_ms=stamp.time_ms, size=row.size + body.length, chunk_count=row.chunk_count + 1
    )
    batch.put(keys.upload(command.upload_id), rows.encode_upload(row))
    return ""


def _append(batch: Batch, upload_id: bytes, row: UploadRow, packed: bytes) -> None:
    number, filled = divmod(row.chunk_count, PAGE_EXTENTS)
    key = keys.upload_page(upload_id, number)
    page = batch.get(key) if filled else b""
    assert page is not None and len(page) == filled * extents.EXTENT_BYTES, (upload_id, number)
    batch.hold(packed)
    batch.put(key, page + packed)


def content(
    batch: Batch,
    upload_id: bytes,
    *,
    generation: int,
    owner: bytes,
    chunk_count: int,
    size: int,
) -> Optional[bytes]:
    """The packed extents of a complete upload for this owner, else None."""
    row = find(batch, upload_id)
    if row is None or (row.generation, row.owner, row.chunk_count, row.size) != (
        generation,
        owner,
        chunk_count,
        size,
    ):
        return None
    return b"".join(_pages(batch, upload_id, row))


def _pages(batch: Batch, upload_id: bytes, row: UploadRow) -> List[bytes]:
    pages: List[bytes] = []
    for number in range(-(-row.chunk_count // PAGE_EXTENTS)):
        page = batch.get(keys.upload_page(upload_id, number))
        assert page is not None, (upload_id, number)
        pages.append(page)
    return pages


def drop(batch: Batch, upload_id: bytes) -> None:
    """Forget the upload, whatever came of it. What still needs its bodies holds them itself."""
    row = find(batch, upload_id)
    if row is None:
        return
    for number, page in enumerate(_pages(batch, upload_id, row)):
        batch.release(page)
        batch.delete(keys.upload_page(upload_id, number))
    batch.delete(keys.upload(upload_id))
    batch.delete(keys.timer(keys.UPLOAD_TIMER, row.timer_ms, row.timer_index))


def abort(batch: Batch, stamp: Stamp, command: AbortUpload) -> str:
    drop(batch, command.upload_id)
    return ""


def expire(batch: Batch, upload_id: bytes, before_ms: int, timer: bytes) -> None:
    """The timer went off: drop the upload, or set the timer again if it was touched since."""
    row = find(batch, upload_id)
    assert row is not None, "an upload and its timer come and go together"
    if row.touched_ms < before_ms:
        drop(batch, upload_id)
        return
    batch.delete(timer)
    row = row._replace(timer_ms=row.touched_ms)
    batch.put(keys.timer(keys.UPLOAD_TIMER, row.timer_ms, row.timer_index), upload_id)
    batch.put(keys.upload(upload_id), rows.encode_upload(row))


def places(batch: Batch, upload_id: bytes, wanted: bytes) -> List[Tuple[int, List[int]]]:
    """(page, byte offsets in it) of each page that names the packed extent."""
    row = find(batch, upload_id)
    if row is None:
        return []
    found = [
        (number, extents.occurrences(page, wanted))
        for number, page in enumerate(_pages(batch, upload_id, row))
    ]
    return [(number, at) for number, at in found if at]


def replace(batch: Batch, upload_id: bytes, wanted: bytes, new: bytes) -> int:
    """Name `new` where the upload named `wanted`; return how often that was."""
    count = 0
    for number, found in places(batch, upload_id, wanted):
        key = keys.upload_page(upload_id, number)
        page = batch.get(key)
        assert page is not None, (upload_id, number)
        batch.put(key, extents.replaced(page, found, new))
        count += len(found)
    return count
