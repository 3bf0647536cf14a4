"""The content of a blob as rows: extents in the row or in pages, and the block list.

Problem: a blob is one body of 4 KiB or a hundred thousand of them; the small one must cost one
row, the large one must not be rewritten when its metadata changes, and dropping it must not hold
up the loop. Idea: `write` chooses by count; `drop` removes a few pages at once and leaves more to
the reaper, as garbage under the layout's number.

Invariant: an extent counts as live once for each row that names it, garbage included, until that
row is gone.
"""

from __future__ import annotations

import struct
from typing import List, NamedTuple, Optional, Tuple

from storage_core.catalog import blob_row, extents, keys
from storage_core.catalog.batch import Batch, Stamp
from storage_core.catalog.blob_row import PAGE_BYTES, BlobRow, ListedBlock
from storage_core.log.format import Extent

# 8 GiB of chunks: some 30,000 extents to account for, a few milliseconds.
PAGES_DROPPED_AT_ONCE = 16
# Accounting for the extents of a page takes as long as dropping this many small rows.
PAGE_COST_ROWS = 60

_GARBAGE = struct.Struct("<II")  # next page, page count


class Content(NamedTuple):
    """What a blob is to hold. `packed` extents sum to `size`."""

    size: int
    packed: bytes
    crc64: Optional[int]
    blocks: List[ListedBlock]


def write(
    batch: Batch, stamp: Stamp, key: bytes, content: Content, created_ms: int, described: bytes
) -> None:
    """Put the blob's row at `key`, and its pages and block list under a layout of their own."""
    layout_id = stamp.log_index
    packed = content.packed
    extent_count = extents.count(packed)
    is_paged = extent_count > blob_row.INLINE_EXTENTS_MAX
    batch.hold(packed)
    if content.blocks:
        batch.put(keys.block_list(layout_id), blob_row.pack_block_list(content.blocks))
    row = blob_row.encode(
        etag_index=stamp.log_index,
        created_ms=created_ms,
        last_modified_ms=stamp.time_ms,
        size=content.size,
        layout_id=layout_id,
        crc64=content.crc64,
        extent_count=extent_count,
        block_count=len(content.blocks),
        described=described,
        tail=_write_pages(batch, layout_id, packed) if is_paged else packed,
        is_paged=is_paged,
    )
    batch.put(key, row)


def write_one_body(
    batch: Batch, stamp: Stamp, key: bytes, body: Extent, crc64: int, described: bytes
) -> bool:
    """Put a blob of one whole body in the place of another such, or of none.

    Nearly every write is this, and every replica applies it, so that it goes without the values
    that `write` and `drop` are told. False, and nothing is done, where another kind is in its way.
    """
    created_ms = stamp.time_ms
    old = batch.get(key)
    if old is not None:
        found = blob_row.one_body_of(old)
        if found is None:
            return False
        created_ms, segment_seq, length = found
        batch.live[segment_seq] = batch.live.get(segment_seq, 0) - length
    batch.live[body.segment_seq] = batch.live.get(body.segment_seq, 0) + body.length
    batch.rows[key] = blob_row.encode_one_body(
        stamp.log_index, created_ms, stamp.time_ms, body, crc64, described
    )
    return True


def _write_pages(batch: Batch, layout_id: int, packed: bytes) -> bytes:
    """Put the pages; return the byte of the blob at which each starts."""
    starts: List[int] = []
    start = 0
    for number, at in enumerate(range(0, len(packed), PAGE_BYTES)):
        page = packed[at : at + PAGE_BYTES]
        batch.put(keys.extent_page(layout_id, number), page)
        starts.append(start)
        start += extents.size_bytes(page)
    return struct.pack("<%dQ" % len(starts), *starts)


def drop(batch: Batch, row: BlobRow) -> int:
    """Take away what `row` refers to, now or by the reaper. The row itself is the caller's.

    Returns what that cost, in small rows.
    """
    taken = 0
    if row.block_count:
        batch.delete(keys.block_list(row.layout_id))
        taken = 1
    if not row.is_paged:
        if row.extent_count:
            batch.release(row.tail)
        return taken
    page_count = row.page_count
    if page_count > PAGES_DROPPED_AT_ONCE:
        garbage = keys.garbage(keys.LAYOUT_GARBAGE, row.layout_id)
        batch.put(garbage, _GARBAGE.pack(0, page_count))
        return taken + 1
    for number in range(page_count):
        _drop_page(batch, row.layout_id, number)
    return taken + page_count * PAGE_COST_ROWS


def _drop_page(batch: Batch, layout_id: int, number: int) -> None:
    key = keys.extent_page(layout_id, number)
    page = batch.get(key)
    assert page is not None, (layout_id, number)
    batch.release(page)
    batch.delete(key)


def reap(batch: Batch, key: bytes, raw: bytes) -> None:
    """Drop some more pages of a layout that nothing refers to; the garbage row goes with the last.

    A page is dear to account for, so an entry takes few of them, whatever it may take of rows.
    """
    layout_id = keys.number_of(key)
    first, page_count = _GARBAGE.unpack(raw)
    stop = min(page_count, first + PAGES_DROPPED_AT_ONCE)
    for number in range(first, stop):
        _drop_page(batch, layout_id, number)
    if stop == page_count:
        batch.delete(key)
    else:
        batch.put(key, _GARBAGE.pack(stop, page_count))


def places(row: BlobRow, wanted: bytes) -> List[Tuple[int, List[int]]]:
    """(page, byte offsets in it) of each page of the blob that names the packed extent."""
    if not row.is_paged:
        found = extents.occurrences(row.tail, wanted)
        return [(0, found)] if found else []
    pages: List[Tuple[int, List[int]]] = []
    for number in range(row.page_count):
        found = extents.occurrences(row.page(number), wanted)
        if found:
            pages.append((number, found))
    return pages


def replace(batch: Batch, key: bytes, row: BlobRow, wanted: bytes, new: bytes) -> int:
    """Name `new` wherever the blob named `wanted`; return how often that was."""
    count = 0
    for number, found in places(row, wanted):
        count += len(found)
        if row.is_paged:
            page = extents.replaced(row.page(number), found, new)
            batch.put(keys.extent_page(row.layout_id, number), page)
        else:
            batch.put(
                key, blob_row.with_inline_extents(row, extents.replaced(row.tail, found, new))
            )
    return count
