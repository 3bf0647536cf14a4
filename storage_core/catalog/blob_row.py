"""The row of a committed blob, decoded as far as it is asked for.

Problem: the same row answers a HEAD, a range of a 100 GiB blob, a listing of thousands and a block
list; decoding all of it for each would cost more than the read itself. Idea: a fixed head of 64
bytes that is unpacked at once, and the rest (properties, metadata, extents) on first use. Up to
64 extents stand in the row; beyond, they stand in pages of 2,048, and the row holds the byte at
which each page starts, so that a range opens only its own pages.

Invariant: the sizes of all extents sum to `size`. Pages and block list belong to `layout_id`, the
index of the entry that wrote the content; no two blobs share a layout.

Read next: `extents` for the packed form, `layouts` for writing and dropping it.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import Callable, List, NamedTuple, Optional, Tuple

from storage_core.catalog import extents, keys, packing
from storage_core.catalog.commands import BLOCK_BLOB, BlobProperties, Metadata, etag_of
from storage_core.catalog.extents import Piece
from storage_core.catalog.packing import Undecodable
from storage_core.log.format import Extent

VERSION = 1
_HEAD = struct.Struct("<BBHQQQQQQIII")
HEAD_BYTES = _HEAD.size
assert HEAD_BYTES == 64, HEAD_BYTES

_HAS_CRC64 = 1
_IS_PAGED = 2

# 16 MiB of chunks; the row stays under 2 KiB.
INLINE_EXTENTS_MAX = 64
# 48 KiB a page: 512 MiB of chunks, and cheap enough to rewrite when one of them moves.
PAGE_EXTENTS = 2048
PAGE_BYTES = PAGE_EXTENTS * extents.EXTENT_BYTES

_BLOCK = struct.Struct("<QI")

Get = Callable[[bytes], Optional[bytes]]


class Block(NamedTuple):
    """A committed block. `size` in bytes."""

    id: bytes
    size: int


class ListedBlock(NamedTuple):
    """A committed block with its share of the blob's extents."""

    id: bytes
    size: int
    extent_count: int


class BlobRow:
    """A committed blob. Read-only; compares by its bytes.

    `header_lines` is whatever the front end wants to keep with it: what it says of the blob.
    """

    __slots__ = (
        "_blocks",
        "_described_bytes",
        "_extents",
        "_get",
        "_metadata",
        "_properties",
        "_raw",
        "block_count",
        "crc64",
        "created_ms",
        "etag_index",
        "extent_count",
        "header_lines",
        "is_paged",
        "last_modified_ms",
        "layout_id",
        "size",
    )

    blob_type = BLOCK_BLOB
    size: int
    crc64: Optional[int]

    def __init__(self, raw: bytes, get: Get) -> None:
        if len(raw) < HEAD_BYTES or raw[0] != VERSION:
            raise Undecodable("blob row of %d bytes, version %r" % (len(raw), raw[:1]))
        (
            _,
            flags,
            _,
            self.etag_index,
            self.created_ms,
            self.last_modified_ms,
            self.size,
            self.layout_id,
            crc64,
            self.extent_count,
            self.block_count,
            self._described_bytes,
        ) = _HEAD.unpack_from(raw)
        self.crc64 = crc64 if flags & _HAS_CRC64 else None
        self.is_paged = bool(flags & _IS_PAGED)
        self._raw = raw
        self._get = get
        self._properties: Optional[BlobProperties] = None
        self._metadata: Optional[Metadata] = None
        self._extents: Optional[Tuple[Extent, ...]] = None
        self._blocks: Optional[Tuple[Block, ...]] = None
        self.header_lines: Optional[str] = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BlobRow) and other._raw == self._raw

    def __hash__(self) -> int:
        return hash(self._raw)

    def __repr__(self) -> str:
        return "BlobRow(etag=%s, size=%d, extents=%d)" % (self.etag, self.size, self.extent_count)

    @property
    def etag(self) -> str:
        """Quoted."""
        return etag_of(self.etag_index)

    @property
    def described(self) -> bytes:
        """Properties and metadata, packed."""
        return self._raw[HEAD_BYTES : HEAD_BYTES + self._described_bytes]

    @property
    def tail(self) -> bytes:
        """Packed extents, or where each page starts."""
        return self._raw[HEAD_BYTES + self._described_bytes :]

    @property
    def properties(self) -> BlobProperties:
        if self._properties is None:
            self._properties, at = packing.take_properties(self._raw, HEAD_BYTES)
            self._metadata, _ = packing.take_metadata(self._raw, at)
        return self._properties

    @property
    def metadata(self) -> Metadata:
        if self._metadata is None:
            assert self.properties is not None
        assert self._metadata is not None
        return self._metadata

    @property
    def content_type(self) -> str:
        return self.properties.content_type

    @property
    def content_encoding(self) -> str:
        return self.properties.content_encoding

    @property
    def content_language(self) -> str:
        return self.properties.content_language

    @property
    def content_md5(self) -> bytes:
        return self.properties.content_md5

    @property
    def cache_control(self) -> str:
        return self.properties.cache_control

    @property
    def content_disposition(self) -> str:
        return self.properties.content_disposition

    @property
    def page_count(self) -> int:
        return -(-self.extent_count // PAGE_EXTENTS) if self.is_paged else 0

    @property
    def extents(self) -> Tuple[Extent, ...]:
        """All of them: for a large blob ask `pieces` instead."""
        if self._extents is None:
            self._extents = extents.unpack(self.packed())
        return self._extents

    @property
    def blocks(self) -> Tuple[Block, ...]:
        """The committed block list; empty where the blob was put whole."""
        if self._blocks is None:
            self._blocks = tuple([Block(row.id, row.size) for row in self.listed_blocks()])
        return self._blocks

    def page(self, number: int) -> bytes:
        page = self._get(keys.extent_page(self.layout_id, number))
        assert page is not None, "a view was used after the batch that dropped this blob"
        return page

    def packed(self) -> bytes:
        """All extents, packed."""
        if not self.is_paged:
            return self.tail
        return b"".join([self.page(number) for number in range(self.page_count)])

    def listed_blocks(self) -> List[ListedBlock]:
        if not self.block_count:
            return []
        raw = self._get(keys.block_list(self.layout_id))
        assert raw is not None, "a view was used after the batch that dropped this blob"
        return unpack_block_list(raw)

    def pieces(self, start: int, length: int) -> Tuple[Piece, ...]:
        """The parts of bodies that make up `length` bytes from `start` on, in order."""
        length = min(length, self.size - start)
        if start < 0 or length <= 0:
            return ()
        if self.extent_count == 1:
            return (Piece(self.extents[0], start, length),)
        if not self.is_paged:
            found, due = extents.pieces(self.tail, start, length)
            assert not due, (start, length, self.size)
            return tuple(found)
        starts = struct.unpack("<%dQ" % self.page_count, self.tail)
        number = bisect_right(starts, start) - 1
        skip = start - starts[number]
        all_found: List[Piece] = []
        while length:
            found, length = extents.pieces(self.page(number), skip, length)
            all_found += found
            number += 1
            skip = 0
        return tuple(all_found)


def encode(
    *,
    etag_index: int,
    created_ms: int,
    last_modified_ms: int,
    size: int,
    layout_id: int,
    crc64: Optional[int],
    extent_count: int,
    block_count: int,
    described: bytes,
    tail: bytes,
    is_paged: bool,
) -> bytes:
    """The bytes of a row. `tail` is the packed extents, or the page starts where it is paged."""
    flags = (_HAS_CRC64 if crc64 is not None else 0) | (_IS_PAGED if is_paged else 0)
    return b"%b%b%b" % (
        _HEAD.pack(
            VERSION,
            flags,
            0,
            etag_index,
            created_ms,
            last_modified_ms,
            size,
            layout_id,
            crc64 or 0,
            extent_count,
            block_count,
            len(described),
        ),
        described,
        tail,
    )


def encode_one_body(
    etag_index: int,
    created_ms: int,
    last_modified_ms: int,
    body: Extent,
    crc64: int,
    described: bytes,
) -> bytes:
    """As `encode` of a blob that is one whole body, which most are."""
    size = body.length
    assert size, "an empty blob has no extent"
    described_bytes = len(described)
    return b"%b%b%b" % (
        _HEAD.pack(
            VERSION, _HAS_CRC64, 0, etag_index, created_ms, last_modified_ms,
            size, etag_index, crc64, 1, 0, described_bytes,
        ),
        described,
        extents.pack(*body),
    )  # fmt: skip


def one_body_of(raw: bytes) -> Optional[Tuple[int, int, int]]:
    """(created_ms, segment_seq, length) of a blob that is one whole body; None of any other."""
    if len(raw) < HEAD_BYTES or raw[0] != VERSION:
        raise Undecodable("blob row of %d bytes, version %r" % (len(raw), raw[:1]))
    _, flags, _, _, created_ms, _, _, _, _, extent_count, block_count, described_bytes = (
        _HEAD.unpack_from(raw)
    )
    if extent_count != 1 or block_count or flags & _IS_PAGED:
        return None
    segment_seq, _, length, _ = extents.unpack_from(raw, HEAD_BYTES + described_bytes)
    return created_ms, segment_seq, length


def redescribed(row: BlobRow, *, etag_index: int, last_modified_ms: int, described: bytes) -> bytes:
    """The same content with other properties or metadata."""
    return encode(
        etag_index=etag_index,
        created_ms=row.created_ms,
        last_modified_ms=last_modified_ms,
        size=row.size,
        layout_id=row.layout_id,
        crc64=row.crc64,
        extent_count=row.extent_count,
        block_count=row.block_count,
        described=described,
        tail=row.tail,
        is_paged=row.is_paged,
    )


def with_inline_extents(row: BlobRow, packed: bytes) -> bytes:
    """The same blob, its bodies lying elsewhere."""
    assert not row.is_paged and len(packed) == len(row.tail), (row, len(packed))
    return row._raw[: HEAD_BYTES + row._described_bytes] + packed


def pack_block_list(blocks: List[ListedBlock]) -> bytes:
    """Id length once, since all ids of a blob are equally long."""
    width = len(blocks[0].id) if blocks else 0
    assert all(len(block.id) == width for block in blocks), "ids of one length were demanded"
    parts = [bytes((VERSION, width))]
    parts += [_BLOCK.pack(block.size, block.extent_count) + block.id for block in blocks]
    return b"".join(parts)


def unpack_block_list(raw: bytes) -> List[ListedBlock]:
    if len(raw) < 2 or raw[0] != VERSION:
        raise Undecodable("block list row of %d bytes, version %r" % (len(raw), raw[:1]))
    item = struct.Struct("<QI%ds" % raw[1])
    if (len(raw) - 2) % item.size:
        raise Undecodable("block list row of %d bytes, %d an item" % (len(raw), item.size))
    return [
        ListedBlock(block_id, size, extent_count)
        for size, extent_count, block_id in item.iter_unpack(memoryview(raw)[2:])
    ]
