"""Read the log back after a crash, and tell a torn tail from corruption.

Problem: after a crash the end of the log may hold half a batch, bytes of an earlier life of the
file, or entries that were replaced; and a disk may have rotted what it once kept well. The first
must be cut, the second must never be. Idea: follow the chain of checksums from a known point, and
let the durable watermark decide: it names an entry that was flushed and committed.

What always holds:
- What comes back is a prefix of what was written, entry for entry; never a wrong one.
- Damage at or before the watermark raises `CorruptLog`; nothing is cut there.
- Recovery changes nothing on disk, so it may crash and run again with the same result.

The caller must flush the log and the hard state before it announces any index or vote: what was
read here may have come from the page cache only.

Read next: `entries`, whose writes this reads; `docs/formats/log.md`, "Recovery".
"""

from __future__ import annotations

from typing import Iterator, List, NamedTuple, Optional, Tuple

from storage_core.errors import CorruptLog
from storage_core.log.entries import Read
from storage_core.log.format import (
    ALIGNMENT_BYTES,
    BAD_BODY,
    BROKEN_CHAIN,
    CUT_SHORT,
    FOREIGN_RECORD,
    HEADER_BYTES,
    MAGIC,
    NO_RECORD,
    Buffer,
    Crc64,
    Identity,
    LogPoint,
    Position,
    RecordDamage,
    RecordHeader,
    decode_header,
    peek_lengths,
    record_size,
)
from storage_core.log.slots import Watermark
from storage_core.log.table import RecordTable

# One read of a segment; also about what recovery holds in memory.
WINDOW_BYTES = 1024 * 1024
# How far past the end a later record is looked for: more than two batches in flight.
LOOK_AHEAD_BYTES_MAX = 8 * 1024 * 1024


class Cut(NamedTuple):
    """Why the log ends where something seems to have been written.

    `follows`: a later record of this log lies behind, so the entry at `index` may have been durable
    and acknowledged, and rotted since. (Or a batch reached the disk out of order, or the tail is
    left over from a truncate.) Until a quorum says that it doesn't hold `index`, this node should
    not lead.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    position: Position
    reason: str
    follows: bool


class Recovered(NamedTuple):
    """The log as found: where each record lies, where the next one goes, and what was cut."""

    table: RecordTable
    cut: Optional[Cut]

    @property
    def end(self) -> LogPoint:
        return self.table.end


def recover(
    *,
    watermark: Watermark,
    applied_index: int,
    read: Read,
    identity: Identity,
    crc64: Crc64,
    segment_bytes: int,
) -> Recovered:
    """Walk the log from `watermark.start`.

    Up to `applied_index` headers and metas are verified; bodies are, too, after it, because those
    entries are about to be applied. (Older bodies are verified whenever they are read.)
    """
    return _Recovery(watermark, applied_index, read, identity, crc64, segment_bytes).run()


def walk_segment(
    *,
    segment_seq: int,
    offset: int,
    read: Read,
    identity: Identity,
    crc64: Crc64,
    segment_bytes: int,
) -> Iterator[Tuple[RecordHeader, bytes]]:
    """Headers and metas of one segment from a record's `offset`, to the last that chains.

    For cleaning and scrubbing. Ends without a word where no further record follows; a caller that
    knows the last index compares.
    """
    window = _Window(read, segment_bytes)
    position = Position(segment_seq, offset)
    prev: Optional[LogPoint] = None
    while segment_bytes - position.offset >= HEADER_BYTES:
        try:
            header, meta = _header_at(window, position, identity, crc64)
            if prev is not None and not _follows(header, prev):
                return
        except RecordDamage:
            return
        yield header, meta
        prev = header.end
        position = prev.position


class _Window:
    """A stretch of one segment in memory, moved as the reader goes forward."""

    __slots__ = ("_buffer", "_offset", "_read", "_segment_bytes", "_segment_seq")

    def __init__(self, read: Read, segment_bytes: int) -> None:
        self._read = read
        self._segment_bytes = segment_bytes
        self._segment_seq = -1
        self._offset = 0
        self._buffer = b""

    def room_bytes(self, position: Position) -> int:
        """Bytes from `position` to the end of its segment."""
        return self._segment_bytes - position.offset

    def at(self, position: Position, length: int) -> Tuple[Buffer, int]:
        """A buffer, and the offset in it of `length` bytes (fewer at a segment's end)."""
        segment_seq, offset = position
        inside = offset - self._offset
        if segment_seq != self._segment_seq or not 0 <= inside <= len(self._buffer) - length:
            room_bytes = self._segment_bytes - offset
            wanted = min(max(length, WINDOW_BYTES), room_bytes)
            self._buffer = self._read(segment_seq, offset, wanted)
            self._segment_seq, self._offset = segment_seq, offset
            inside = 0
        return self._buffer, inside


class _Recovery:
    """One walk. `point` is the end of the last record accepted."""

    def __init__(
        self,
        watermark: Watermark,
        applied_index: int,
        read: Read,
        identity: Identity,
        crc64: Crc64,
        segment_bytes: int,
    ) -> None:
        assert watermark.start.index <= watermark.durable.index, watermark
        self.durable = watermark.durable
        self.applied_index = applied_index
        self.read = read
        self.identity = identity
        self.crc64 = crc64
        self.segment_bytes = segment_bytes
        self.window = _Window(read, segment_bytes)
        self.table = RecordTable(watermark.start)

    def run(self) -> Recovered:
        self._check_durable()
        try:
            while True:
                header = self._next()
                self.table.append(
                    header.term, header.position, header.size_bytes, header.record_crc
                )
                self._check_durable()
        except RecordDamage as damage:
            reason = damage.reason
        end = self.table.end
        if end.index < self.durable.index:
            raise CorruptLog(end.index + 1, end.position.segment_seq, end.position.offset, reason)
        follows = self._later_record_follows()
        torn = reason not in (NO_RECORD, FOREIGN_RECORD)
        cut = Cut(end.index + 1, end.position, reason, follows) if torn or follows else None
        return Recovered(self.table, cut)

    def _check_durable(self) -> None:
        """At the watermark's index the chain must be the one that the watermark saw."""
        end = self.table.end
        durable = self.durable
        if end.index != durable.index:
            return
        if (end.term, end.record_crc) != (durable.term, durable.record_crc):
            segment_seq, offset = durable.position
            raise CorruptLog(end.index, segment_seq, offset, "not the record of the watermark")

    def _next(self) -> RecordHeader:
        """The record after `table.end`, or RecordDamage with why there is none."""
        end = self.table.end
        here = end.position
        try:
            header = self._record_at(here)
        except RecordDamage:
            moved_on = self._moved_on(end)
            if moved_on is None:
                raise
            header = moved_on
        if header.index > self.applied_index:
            self._check_body(header)
        return header

    def _record_at(self, position: Position) -> RecordHeader:
        """The record at `position`, if it follows `table.end`."""
        header, _ = _header_at(self.window, position, self.identity, self.crc64)
        if not _follows(header, self.table.end):
            raise RecordDamage(BROKEN_CHAIN)
        return header

    def _moved_on(self, end: LogPoint) -> Optional[RecordHeader]:
        """The next record, if it did not fit here and opens the next segment; else None.

        Only past a gap of zeros: something else here is a damaged record, not a gap.
        """
        here = end.position
        room_bytes = self.segment_bytes - here.offset
        try:
            header = self._record_at(Position(here.segment_seq + 1, 0))
        except RecordDamage:
            return None
        if header.size_bytes <= room_bytes or not self._is_zero(here, room_bytes):
            return None
        return header

    def _is_zero(self, position: Position, length: int) -> bool:
        segment_seq, offset = position
        while length:
            step = min(length, WINDOW_BYTES)
            if self.read(segment_seq, offset, step) != bytes(step):
                return False
            offset += step
            length -= step
        return True

    def _check_body(self, header: RecordHeader) -> None:
        segment_seq, offset, length, crc = header.body_extent
        buffer, start = self.window.at(Position(segment_seq, offset), length)
        if len(buffer) < start + length:
            raise RecordDamage(CUT_SHORT)
        if self.crc64(memoryview(buffer)[start : start + length], 0) != crc:
            raise RecordDamage(BAD_BODY)

    def _later_record_follows(self) -> bool:
        """Whether a valid record with a later index lies in the next bytes of this segment."""
        end = self.table.end
        segment_seq, first = end.position
        length = min(self.segment_bytes - first, LOOK_AHEAD_BYTES_MAX)
        buffer = self.read(segment_seq, first, length) if length else b""
        for offset in _record_starts(buffer):
            try:
                header = decode_header(buffer, offset, self.identity, self.crc64)
            except RecordDamage:
                continue
            here = Position(segment_seq, first + offset)
            if header.position == here and header.index > end.index + 1:
                return True
        return False


def _record_starts(buffer: bytes) -> List[int]:
    """Offsets where the magic number stands as it would in a record."""
    starts: List[int] = []
    offset = buffer.find(MAGIC)
    while offset >= 0:
        if offset % ALIGNMENT_BYTES == 0:
            starts.append(offset)
        offset = buffer.find(MAGIC, offset + 1)
    return starts


def _follows(header: RecordHeader, prev: LogPoint) -> bool:
    return (
        header.prev_crc == prev.record_crc
        and header.index == prev.index + 1
        and header.term >= prev.term
    )


def _header_at(
    window: _Window, position: Position, identity: Identity, crc64: Crc64
) -> Tuple[RecordHeader, bytes]:
    """The verified header and meta of the record at `position`."""
    if window.room_bytes(position) < HEADER_BYTES:
        raise RecordDamage(NO_RECORD)
    buffer, start = window.at(position, HEADER_BYTES)
    if len(buffer) == start:
        raise RecordDamage(NO_RECORD)
    meta_length, body_length = peek_lengths(buffer, start)
    if record_size(meta_length, body_length) > window.room_bytes(position):
        raise RecordDamage(CUT_SHORT)
    buffer, start = window.at(position, HEADER_BYTES + meta_length)
    header = decode_header(buffer, start, identity, crc64)
    if header.position != position:
        raise RecordDamage(FOREIGN_RECORD)
    meta_start = start + HEADER_BYTES
    return header, bytes(buffer[meta_start : meta_start + header.meta_length])
