"""The replicated log as Raft sees it: entries by index, and the writes they cause.

Problem: Raft appends, truncates and reads at memory speed, while the bytes go to disk later, in
batches, on another thread. Idea: lay each record out the moment it is appended (its place and its
checksum chain depend on nothing but the entries), hand the bytes out in `take_write`, and keep the
entries in memory at least until they are durable; older ones are read back and verified.

What always holds:
- Equal entries give equal bytes, however they are batched.
- A segment that the log moved on from is full: records, then zeros up to its end.
- After a truncate nothing stale can be taken for an entry. The record that replaces another one
  has a different checksum, so what lay behind the old one no longer follows; where the
  replacement moves on to the next segment, the zeros cover the old one; and where nothing replaces
  it, its header is wiped.

Read next: `recovery`, which relies on these; `writer`, which executes a `LogWrite`.
"""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from storage_core.errors import CorruptLog
from storage_core.log.format import (
    BROKEN_CHAIN,
    FOREIGN_RECORD,
    HEADER_BYTES,
    SEGMENT_BYTES,
    SEGMENT_BYTES_MAX,
    Buffer,
    Crc64,
    Extent,
    Identity,
    LogPoint,
    Position,
    RecordDamage,
    RecordHeader,
    body_extent,
    decode_header,
    encode_record,
    entry_from,
    place,
    record_size,
)
from storage_core.log.table import RecordTable
from storage_core.raft.messages import Entry

# Read `length` bytes of a segment at an offset; fewer where the segment ends or does not exist.
Read = Callable[[int, int, int], bytes]

CACHE_BYTES = 32 * 1024 * 1024
# Bodies up to this size are copied next to their headers: cheaper than one more buffer to write.
MERGE_BYTES_MAX = 16 * 1024

_PADDING = tuple(bytes(count) for count in range(8))
_ZEROS = memoryview(bytes(1024 * 1024))


class SegmentWrite(NamedTuple):
    """Buffers that belong one after the other from `offset` of a segment."""

    segment_seq: int
    offset: int
    buffers: List[Buffer]


class LogWrite(NamedTuple):
    """Entries `first_index..last_index` as bytes, in segment order.

    With `record_count` 0 it only makes a truncate durable and `last_index` is the index before it.
    """

    writes: List[SegmentWrite]
    first_index: int
    last_index: int
    last_term: int
    record_count: int
    body_bytes: int


# A record that is laid out and not yet handed out: where it goes, header and meta, body, padding.
_Pending = Tuple[Position, bytes, bytes, bytes]


class EntryLog:
    """The log of one replica. Implements Raft's `LogStorage`; not safe for threads."""

    def __init__(
        self,
        *,
        start: LogPoint,
        identity: Identity,
        crc64: Crc64,
        read: Read,
        segment_bytes: int = SEGMENT_BYTES,
        cache_bytes: int = CACHE_BYTES,
        table: Optional[RecordTable] = None,
    ) -> None:
        """Empty after `start`; or, with the `table` of a recovery, holding what is on disk."""
        assert segment_bytes % 8 == 0, segment_bytes
        assert HEADER_BYTES < segment_bytes <= SEGMENT_BYTES_MAX, segment_bytes
        self.segment_bytes = segment_bytes
        self.identity = identity
        self.table = RecordTable(start) if table is None else table
        assert self.table.start == start, (self.table.start, start)
        self.durable_index = self.table.last_index
        self._crc64 = crc64
        self._read = read
        self._cache_bytes_max = cache_bytes
        self._cache: Dict[int, Entry] = {}
        self._cache_first = self.table.last_index + 1
        self._cache_bytes = 0
        self._pending: List[_Pending] = []
        self._pending_first = self.table.last_index + 1
        self._wipe: Optional[Position] = None

    @property
    def first_index(self) -> int:
        """The first index retained; one past the last where the log is empty."""
        return self.table.start.index + 1

    @property
    def last_index(self) -> int:
        return self.table.last_index

    @property
    def last_term(self) -> int:
        return self.table.last_term

    @property
    def has_pending_write(self) -> bool:
        """Whether `take_write` has something to hand out."""
        return bool(self._pending) or self._wipe is not None

    def term_at(self, index: int) -> Optional[int]:
        """The term of `index`, also of the one just before the first; None where unknown."""
        return self.table.term_at(index)

    def position_of(self, index: int) -> Position:
        """Where the record of a retained `index` starts."""
        return self.table.position_of(index)

    def positions_of(self, lo: int, hi: int) -> List[Position]:
        """Where the records of the retained `lo..hi` start."""
        return self.table.positions_of(lo, hi)

    def point_at(self, index: int) -> LogPoint:
        """The end of entry `index`, also of the one just before the first."""
        return self.table.point_at(index)

    def extent_of(self, index: int) -> Extent:
        """Where the body of `index` lies. Below the cache this reads the record's header."""
        position = self.table.position_of(index)
        entry = self._cache.get(index)
        if entry is not None:
            return body_extent(position, len(entry.meta), len(entry.body), entry.body_crc)
        size_bytes = self.table.size_of(index)
        buffer = self._read(position.segment_seq, position.offset, size_bytes)
        return self._header_at(index, buffer, 0).body_extent

    def append(self, entries: Sequence[Entry]) -> None:
        """Lay `entries` out after the last. They follow it without a hole and terms never go back.

        The caller has verified every `body_crc`: a record with a wrong one would be damage later.
        """
        table = self.table
        index, _, end, prev_crc = table.end
        for entry in entries:
            index += 1
            assert entry.index == index, (entry.index, index)
            size_bytes = record_size(len(entry.meta), len(entry.body))
            position = place(end, size_bytes, self.segment_bytes)
            head, prev_crc, padding = encode_record(
                entry, position, prev_crc, self.identity, self._crc64
            )
            end = table.append(entry.term, position, size_bytes, prev_crc)
            self._pending.append((position, head, entry.body, _PADDING[padding]))
            self._cache[index] = entry
            self._cache_bytes += size_bytes
        self._evict()

    def truncate(self, from_index: int) -> None:
        """Forget `from_index` and all after it; nothing happens if that is past the last."""
        last_index = self.last_index
        if from_index > last_index:
            return
        assert from_index >= self.first_index, (from_index, self.first_index)
        for index in range(max(from_index, self._cache_first), last_index + 1):
            del self._cache[index]
            self._cache_bytes -= self.table.size_of(index)
        self._cache_first = min(self._cache_first, from_index)
        if from_index >= self._pending_first:
            del self._pending[from_index - self._pending_first :]
        else:
            # It was handed out and may be on disk already: see the third rule above.
            self._wipe = self.table.position_of(from_index)
            self._pending.clear()
            self._pending_first = from_index
        self.table.truncate(from_index)
        self.durable_index = min(self.durable_index, from_index - 1)

    def entries(self, lo: int, hi: int, max_bytes: int) -> List[Entry]:
        """Entries `lo..hi` (inclusive, as far as there are any) of at most `max_bytes` on disk.

        At least one if `lo` exists. What is read from disk is verified; damage is `CorruptLog`.
        """
        assert lo >= self.first_index, (lo, self.first_index)
        hi = min(hi, self.last_index)
        found: List[Entry] = []
        room_bytes = max_bytes
        index = lo
        while index <= hi:
            if index < self._cache_first:
                last = min(hi, self._cache_first - 1)
                batch, used_bytes = self._read_run(index, last, room_bytes, not found)
                if not batch:
                    break
                found += batch
                index += len(batch)
                room_bytes -= used_bytes
                continue
            for used_bytes in self.table.sizes_of(index, hi):
                room_bytes -= used_bytes
                if room_bytes < 0 and found:
                    return found
                found.append(self._cache[index])
                index += 1
        return found

    def take_write(self) -> Optional[LogWrite]:
        """The bytes of everything appended or truncated since the last call; None if nothing.

        Writes must reach the disk in the order in which they were taken.
        """
        if not self._pending:
            return self._take_wipe()
        self._wipe = None
        first_index = self._pending_first
        end = self.table.point_at(first_index - 1).position
        writes: List[SegmentWrite] = []
        run = _Run(end)
        body_bytes = 0
        for number, (position, head, body, padding) in enumerate(self._pending):
            if position.segment_seq != run.segment_seq:
                end = self.table.point_at(first_index + number - 1).position
                run.fill_up(self.segment_bytes - end.offset)
                run.close(writes)
                run = _Run(position)
            run.add(head, body, padding)
            body_bytes += len(body)
        run.close(writes)
        record_count = len(self._pending)
        self._pending = []
        self._pending_first = self.last_index + 1
        return LogWrite(
            writes, first_index, self.last_index, self.last_term, record_count, body_bytes
        )

    def mark_durable(self, index: int, term: int) -> None:
        """A write that ended at (`index`, `term`) has been flushed.

        A flush of entries that were replaced meanwhile says nothing about the new ones.
        """
        if self.table.term_at(index) == term and index > self.durable_index:
            assert index < self._pending_first, (index, self._pending_first)
            self.durable_index = index
            self._evict()

    def compact(self, to_index: int) -> None:
        """Forget up to and including `to_index`, in memory only; it must be durable."""
        assert to_index <= self.durable_index, (to_index, self.durable_index)
        for index in range(self._cache_first, to_index + 1):
            del self._cache[index]
            self._cache_bytes -= self.table.size_of(index)
        self._cache_first = max(self._cache_first, to_index + 1)
        self.table.compact(to_index)

    def _take_wipe(self) -> Optional[LogWrite]:
        if self._wipe is None:
            return None
        position, self._wipe = self._wipe, None
        wipe = SegmentWrite(position.segment_seq, position.offset, [bytes(HEADER_BYTES)])
        return LogWrite([wipe], self.last_index + 1, self.last_index, self.last_term, 0, 0)

    def _evict(self) -> None:
        """Bound the cache. Entries that are not durable stay: they can't be read back yet."""
        index = self._cache_first
        while self._cache_bytes > self._cache_bytes_max and index <= self.durable_index:
            del self._cache[index]
            self._cache_bytes -= self.table.size_of(index)
            index += 1
        self._cache_first = index

    def _read_run(
        self, lo: int, hi: int, max_bytes: int, at_least_one: bool
    ) -> Tuple[List[Entry], int]:
        """Entries from `lo` that lie in one segment within `max_bytes`, in one read."""
        position = self.table.position_of(lo)
        length = 0
        count = 0
        for index in range(lo, hi + 1):
            size_bytes = self.table.size_of(index)
            if self.table.position_of(index).segment_seq != position.segment_seq:
                break
            if length + size_bytes > max_bytes and (count or not at_least_one):
                break
            length += size_bytes
            count += 1
        if not count:
            return [], 0
        buffer = self._read(position.segment_seq, position.offset, length)
        found: List[Entry] = []
        offset = 0
        for index in range(lo, lo + count):
            header = self._header_at(index, buffer, offset)
            try:
                found.append(entry_from(header, buffer, offset, self._crc64))
            except RecordDamage as damage:
                raise self._corrupt(index, damage.reason) from damage
            offset += header.size_bytes
        return found, length

    def _header_at(self, index: int, buffer: Buffer, offset: int) -> RecordHeader:
        """The header of `index`, which must be the one that was laid out."""
        try:
            header = decode_header(buffer, offset, self.identity, self._crc64)
        except RecordDamage as damage:
            raise self._corrupt(index, damage.reason) from damage
        if header.position != self.table.position_of(index):
            raise self._corrupt(index, FOREIGN_RECORD)
        if header.record_crc != self.table.crc_of(index):
            raise self._corrupt(index, BROKEN_CHAIN)
        assert header.index == index, (header.index, index)
        return header

    def _corrupt(self, index: int, reason: str) -> CorruptLog:
        segment_seq, offset = self.table.position_of(index)
        return CorruptLog(index, segment_seq, offset, reason)


class _Run:
    """Buffers of one segment being collected; small neighbours are joined."""

    __slots__ = ("buffers", "offset", "segment_seq", "small")

    def __init__(self, position: Position) -> None:
        self.segment_seq, self.offset = position
        self.buffers: List[Buffer] = []
        self.small: List[Buffer] = []

    def add(self, head: bytes, body: Buffer, padding: bytes) -> None:
        """One record. A large body is passed on as it is."""
        if len(body) <= MERGE_BYTES_MAX:
            self.small += (head, body, padding)
            return
        self.small.append(head)
        self._join()
        self.buffers.append(body)
        self.small.append(padding)

    def fill_up(self, room_bytes: int) -> None:
        """The log moves on to the next segment: zeros up to the end of this one."""
        self._join()
        while room_bytes:
            zeros = _ZEROS[: min(room_bytes, len(_ZEROS))]
            self.buffers.append(zeros)
            room_bytes -= len(zeros)

    def close(self, writes: List[SegmentWrite]) -> None:
        """Put the run among `writes`, unless there is nothing in it."""
        self._join()
        if self.buffers:
            writes.append(SegmentWrite(self.segment_seq, self.offset, self.buffers))

    def _join(self) -> None:
        joined = b"".join(self.small)
        self.small.clear()
        if joined:
            self.buffers.append(joined)
