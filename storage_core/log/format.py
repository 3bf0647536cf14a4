"""The bytes of a log record, and the small values that name places in the log.

Problem: a disk may lose, tear, misplace or replay what it was given, and a replica must never take
such bytes for an entry. Idea: a record's header states everything that makes it *this* record (the
cluster, the group, the index, the very segment and offset it was written to, and the checksum of
the record before it), so that a right checksum in the wrong place is still refused.

What always holds: the layout is a function of the entries alone. Nothing here is local to a node,
so replicas that hold the same committed entries hold the same bytes. `docs/formats/log.md` is the
table; this module is its only writer and reader.

Read next: `table` (where each record lies), `entries` (the log as Raft sees it), `recovery`.
"""

from __future__ import annotations

import struct
from typing import Callable, NamedTuple, Tuple, Union

from storage_core.raft.messages import Entry

Buffer = Union[bytes, bytearray, memoryview]
Crc64 = Callable[[Buffer, int], int]

MAGIC = b"HFR1"
VERSION = 1
HEADER_BYTES = 104
ALIGNMENT_BYTES = 8
SEGMENT_BYTES = 256 * 1024 * 1024
# Offsets and lengths are 32-bit fields.
SEGMENT_BYTES_MAX = 2**32 - ALIGNMENT_BYTES
OP_ID_BYTES = 16

# Everything of the header but its last field, record_crc.
_HEAD = struct.Struct("<4sBBHQIIIIQQQQ16sQQ")
_HEAD_BYTES = 96
_HEADER = struct.Struct("<4sBBHQIIIIQQQQ16sQQQ")
_LENGTHS = struct.Struct("<II")
_LENGTHS_OFFSET = 20

assert _HEAD.size == _HEAD_BYTES, _HEAD.size
assert _HEADER.size == HEADER_BYTES, _HEADER.size


class Position(NamedTuple):
    """A byte in the log: a segment and an offset in it. Ordered as the log is."""

    segment_seq: int
    offset: int


class Extent(NamedTuple):
    """A body at rest: where its bytes lie, how many they are, and their CRC-64/NVME."""

    segment_seq: int
    offset: int
    length: int
    crc: int


class LogPoint(NamedTuple):
    """The end of entry `index`: all that is needed to append or to recover what follows it.

    `position` is just after the record; the next one starts there if it fits.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    term: int
    position: Position
    record_crc: int


class Identity(NamedTuple):
    """Whose log this is. Bound into every record."""

    cluster_id: int
    group_id: int


# Before the first entry. Its checksum, 0, is the seed of the chain.
GENESIS = LogPoint(index=0, term=0, position=Position(0, 0), record_crc=0)


class RecordHeader(NamedTuple):
    """A record's header as read, its checksum (which covers the meta) already verified."""

    kind: int
    flags: int
    meta_length: int
    body_length: int
    position: Position
    term: int
    index: int  # type: ignore[assignment]
    time_ms: int
    op_id: bytes
    prev_crc: int
    body_crc: int
    record_crc: int

    @property
    def size_bytes(self) -> int:
        return record_size(self.meta_length, self.body_length)

    @property
    def body_extent(self) -> Extent:
        return body_extent(self.position, self.meta_length, self.body_length, self.body_crc)

    @property
    def end(self) -> LogPoint:
        after = Position(self.position.segment_seq, self.position.offset + self.size_bytes)
        return LogPoint(self.index, self.term, after, self.record_crc)


class RecordDamage(Exception):
    """These bytes are not a whole, valid record. `reason` is one of the words below."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# Nothing was ever written here: no magic number.
NO_RECORD = "no record here"
# Written for another place or another log: recycled or misdirected bytes.
FOREIGN_RECORD = "record of another log or place"
UNKNOWN_VERSION = "unknown record version"
CUT_SHORT = "record is cut short"
BAD_HEADER = "header or meta fails its checksum"
BAD_BODY = "body fails its checksum"
BROKEN_CHAIN = "record does not follow the one before it"


def record_size(meta_length: int, body_length: int) -> int:
    """Bytes a record takes on disk, padding included."""
    return (HEADER_BYTES + meta_length + body_length + 7) & ~7


def body_extent(position: Position, meta_length: int, body_length: int, body_crc: int) -> Extent:
    """The extent of the body of a record that starts at `position`."""
    offset = position.offset + HEADER_BYTES + meta_length
    return Extent(position.segment_seq, offset, body_length, body_crc)


def place(position: Position, size_bytes: int, segment_bytes: int) -> Position:
    """Where a record of `size_bytes` starts if the one before it ends at `position`."""
    assert 0 < size_bytes <= segment_bytes, (size_bytes, segment_bytes)
    if position.offset + size_bytes <= segment_bytes:
        return position
    return Position(position.segment_seq + 1, 0)


def segment_name(segment_seq: int) -> str:
    """The file of a segment, relative to a node's directory."""
    return "log/%016x.seg" % segment_seq


def encode_record(
    entry: Entry, position: Position, prev_crc: int, identity: Identity, crc64: Crc64
) -> Tuple[bytes, int, int]:
    """Header and meta in one buffer, the record's checksum, and the count of padding bytes.

    The body goes between the two as it is: it is not copied, and its own checksum, which came with
    the entry, stands for it in the header.
    """
    meta = entry.meta
    meta_length = len(meta)
    body_length = len(entry.body)
    assert len(entry.op_id) == OP_ID_BYTES, entry.op_id
    head = _HEAD.pack(
        MAGIC,
        VERSION,
        entry.kind,
        0,
        identity.cluster_id,
        identity.group_id,
        meta_length,
        body_length,
        position.offset,
        position.segment_seq,
        entry.term,
        entry.index,
        entry.time_ms,
        entry.op_id,
        prev_crc,
        entry.body_crc,
    )
    record_crc = crc64(head + meta, 0)
    padding = -(HEADER_BYTES + meta_length + body_length) & 7
    return b"".join((head, record_crc.to_bytes(8, "little"), meta)), record_crc, padding


def peek_lengths(buffer: Buffer, offset: int) -> Tuple[int, int]:
    """The lengths of meta and body as the header claims them; nothing is verified yet.

    Tells a reader how much to fetch before `decode_header`. Raises where no record starts.
    """
    if len(buffer) < offset + HEADER_BYTES:
        raise RecordDamage(CUT_SHORT)
    if buffer[offset : offset + 4] != MAGIC:
        raise RecordDamage(NO_RECORD)
    meta_length, body_length = _LENGTHS.unpack_from(buffer, offset + _LENGTHS_OFFSET)
    return meta_length, body_length


def decode_header(buffer: Buffer, offset: int, identity: Identity, crc64: Crc64) -> RecordHeader:
    """The verified header at `offset`; `buffer` must hold the record's meta as well.

    The caller still has to compare `position` with where it read, and the chain with the record
    before: only it knows both.
    """
    meta_length, _ = peek_lengths(buffer, offset)
    meta_start = offset + HEADER_BYTES
    if len(buffer) < meta_start + meta_length:
        raise RecordDamage(CUT_SHORT)
    (
        _,
        version,
        kind,
        flags,
        cluster_id,
        group_id,
        _,
        body_length,
        own_offset,
        segment_seq,
        term,
        index,
        time_ms,
        op_id,
        prev_crc,
        body_crc,
        record_crc,
    ) = _HEADER.unpack_from(buffer, offset)
    view = memoryview(buffer)
    crc = crc64(view[offset : offset + _HEAD_BYTES], 0)
    if crc64(view[meta_start : meta_start + meta_length], crc) != record_crc:
        raise RecordDamage(BAD_HEADER)
    if version != VERSION:
        raise RecordDamage(UNKNOWN_VERSION)
    if cluster_id != identity.cluster_id or group_id != identity.group_id:
        raise RecordDamage(FOREIGN_RECORD)
    position = Position(segment_seq, own_offset)
    # In the order of RecordHeader: by name would cost a microsecond.
    return RecordHeader(
        kind,
        flags,
        meta_length,
        body_length,
        position,
        term,
        index,
        time_ms,
        op_id,
        prev_crc,
        body_crc,
        record_crc,
    )


def entry_from(header: RecordHeader, buffer: Buffer, offset: int, crc64: Crc64) -> Entry:
    """The whole entry of a record at `offset`, its body verified. Copies meta and body."""
    meta_start = offset + HEADER_BYTES
    body_start = meta_start + header.meta_length
    body_end = body_start + header.body_length
    if len(buffer) < body_end:
        raise RecordDamage(CUT_SHORT)
    body = bytes(buffer[body_start:body_end])
    if crc64(body, 0) != header.body_crc:
        raise RecordDamage(BAD_BODY)
    return Entry(
        term=header.term,
        index=header.index,
        kind=header.kind,
        time_ms=header.time_ms,
        op_id=header.op_id,
        meta=bytes(buffer[meta_start:body_start]),
        body=body,
        body_crc=header.body_crc,
    )
