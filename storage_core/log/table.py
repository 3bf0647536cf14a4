"""Where every retained record lies: position, size, checksum and term, by index.

Problem: Raft asks for the term of an index all the time, the catalog for its place, and a log of
hundreds of thousands of records must not cost an object each. Idea: three arrays (20 bytes a
record) and a short list of term runs, because terms change only at elections.

What always holds: the table covers `start.index + 1 .. last_index` without a hole, terms never go
back, and `end` is the point from which the next record is laid out.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right

from storage_core.log.format import LogPoint, Position

_OFFSET_BITS = 32
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1


class RecordTable:
    """Mutable; owned by one `EntryLog` (or by the recovery that builds it)."""

    __slots__ = (
        "_crcs",
        "_end_position",
        "_last_crc",
        "_positions",
        "_run_indexes",
        "_run_terms",
        "_sizes",
        "last_index",
        "last_term",
        "start",
    )

    def __init__(self, start: LogPoint) -> None:
        self.start = start
        # The end, taken apart: most of the time one of its parts is asked for.
        self.last_index: int = start.index
        self.last_term: int = start.term
        self._end_position: Position = start.position
        self._last_crc: int = start.record_crc
        self._positions = array("Q")
        self._sizes = array("I")
        self._crcs = array("Q")
        # Run i holds the indexes from _run_indexes[i] up to the next run; its term is the same.
        self._run_indexes: list[int] = []
        self._run_terms: list[int] = []

    @property
    def end(self) -> LogPoint:
        """The end of the last record: the start's where there is none."""
        return LogPoint(self.last_index, self.last_term, self._end_position, self._last_crc)

    def term_at(self, index: int) -> int | None:
        """The term of `index`, known from `start.index` to the last; None outside."""
        if index == self.last_index:
            return self.last_term
        if index < self.start.index or index > self.last_index:
            return None
        if index == self.start.index:
            return self.start.term
        return self._run_terms[bisect_right(self._run_indexes, index) - 1]

    def position_of(self, index: int) -> Position:
        """Where the record of `index` starts."""
        packed = self._positions[self._slot(index)]
        return Position(packed >> _OFFSET_BITS, packed & _OFFSET_MASK)

    def positions_of(self, lo: int, hi: int) -> list[Position]:
        """Where the records `lo..hi` start."""
        first = self._slot(lo)
        packed = self._positions[first : self._slot(hi) + 1]
        return [Position(each >> _OFFSET_BITS, each & _OFFSET_MASK) for each in packed]

    def sizes_of(self, lo: int, hi: int) -> array[int]:
        """Bytes on disk of the records `lo..hi`."""
        return self._sizes[self._slot(lo) : self._slot(hi) + 1]

    def size_of(self, index: int) -> int:
        """Bytes on disk of the record of `index`."""
        return self._sizes[self._slot(index)]

    def crc_of(self, index: int) -> int:
        """The record checksum of `index`, which may be the start's."""
        if index == self.start.index:
            return self.start.record_crc
        return self._crcs[self._slot(index)]

    def point_at(self, index: int) -> LogPoint:
        """The end of entry `index`, from the start's up to the last."""
        if index == self.last_index:
            return self.end
        if index == self.start.index:
            return self.start
        slot = self._slot(index)
        packed = self._positions[slot]
        after = Position(packed >> _OFFSET_BITS, (packed & _OFFSET_MASK) + self._sizes[slot])
        term = self.term_at(index)
        assert term is not None, index
        return LogPoint(index, term, after, self._crcs[slot])

    def append(self, term: int, position: Position, size_bytes: int, record_crc: int) -> Position:
        """Note the next record, whose index is implied; return where it ends."""
        assert term >= self.last_term, "terms never go back"
        assert position >= self._end_position, (position, self._end_position)
        index = self.last_index + 1
        if term != self.last_term or not self._run_terms:
            self._run_indexes.append(index)
            self._run_terms.append(term)
        segment_seq, offset = position
        self._positions.append(segment_seq << _OFFSET_BITS | offset)
        self._sizes.append(size_bytes)
        self._crcs.append(record_crc)
        self.last_index = index
        self.last_term = term
        self._end_position = end = Position(segment_seq, offset + size_bytes)
        self._last_crc = record_crc
        return end

    def truncate(self, from_index: int) -> None:
        """Forget `from_index` and all after it."""
        assert self.start.index < from_index, (from_index, self.start.index)
        if from_index > self.last_index:
            return
        end = self.point_at(from_index - 1)
        count = from_index - 1 - self.start.index
        del self._positions[count:]
        del self._sizes[count:]
        del self._crcs[count:]
        while self._run_indexes and self._run_indexes[-1] >= from_index:
            self._run_indexes.pop()
            self._run_terms.pop()
        self._set_end(end)

    def compact(self, to_index: int) -> None:
        """Forget everything up to and including `to_index`, which becomes the start.

        The start's position is then where the next record really lies: the segment before it may
        be released.
        """
        assert to_index <= self.last_index, (to_index, self.last_index)
        if to_index <= self.start.index:
            return
        start = self.point_at(to_index)
        if to_index < self.last_index:
            start = start._replace(position=self.position_of(to_index + 1))
        count = to_index - self.start.index
        del self._positions[:count]
        del self._sizes[:count]
        del self._crcs[:count]
        keep = max(0, bisect_right(self._run_indexes, to_index + 1) - 1)
        del self._run_indexes[:keep]
        del self._run_terms[:keep]
        if to_index == self.last_index:
            self._run_indexes.clear()
            self._run_terms.clear()
        self.start = start

    def last_index_in(self, segment_seq: int) -> int | None:
        """The last retained index in a segment; None where it holds no retained record."""
        slot = self._first_slot_from(segment_seq + 1) - 1
        if slot < 0 or self._positions[slot] >> _OFFSET_BITS != segment_seq:
            return None
        return self.start.index + 1 + slot

    def _set_end(self, end: LogPoint) -> None:
        self.last_index, self.last_term, self._end_position, self._last_crc = end

    def _first_slot_from(self, segment_seq: int) -> int:
        low, high = 0, len(self._positions)
        wanted = segment_seq << _OFFSET_BITS
        while low < high:
            middle = (low + high) // 2
            if self._positions[middle] < wanted:
                low = middle + 1
            else:
                high = middle
        return low

    def _slot(self, index: int) -> int:
        slot = index - self.start.index - 1
        assert 0 <= slot < len(self._positions), (index, self.start.index, self.last_index)
        return slot
