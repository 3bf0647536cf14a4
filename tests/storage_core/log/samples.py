"""A small log to look at: entries, and segments held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from storage_core.io.checksum import crc64
from storage_core.log.entries import CACHE_BYTES, EntryLog, LogWrite
from storage_core.log.format import GENESIS, Identity
from storage_core.log.recovery import Recovered, recover
from storage_core.log.slots import FIRST_WATERMARK, Owner, Watermark
from storage_core.raft.messages import COMMAND, Entry

IDENTITY = Identity(cluster_id=0x1122334455667788, group_id=1)
OWNER = Owner(IDENTITY, node=2)
SEGMENT_BYTES = 1024


def make_entry(
    index: int, term: int = 1, *, meta: bytes = b"put", body: bytes = b"", kind: int = COMMAND
) -> Entry:
    return Entry(
        term=term,
        index=index,
        kind=kind,
        time_ms=1_700_000_000_000 + index,
        op_id=index.to_bytes(16, "big"),
        meta=meta,
        body=body,
        body_crc=crc64(body),
    )


def make_entries(first: int, sizes: Iterable[int], term: int = 1) -> list[Entry]:
    """One entry for each body size; bodies differ by index and term."""
    return [
        make_entry(
            index, term, body=bytes((index * 7 + term * 31 + at) % 256 for at in range(size))
        )
        for index, size in enumerate(sizes, first)
    ]


class Segments:
    """Segments in memory: the in-memory twin of a pool of files. `filler` is what a file held."""

    def __init__(self, segment_bytes: int = SEGMENT_BYTES, filler: bytes = b"\0") -> None:
        self.segment_bytes = segment_bytes
        self.filler = filler
        self.files: dict[int, bytearray] = {}

    def read(self, segment_seq: int, offset: int, length: int) -> bytes:
        return bytes(self.files.get(segment_seq, b"")[offset : offset + length])

    def ensure(self, segment_seq: int) -> bytearray:
        if segment_seq not in self.files:
            repeats = self.segment_bytes // len(self.filler) + 1
            self.files[segment_seq] = bytearray((self.filler * repeats)[: self.segment_bytes])
        return self.files[segment_seq]

    def write(self, log_write: LogWrite | None, bytes_max: int = 1 << 30) -> None:
        """Carry out a write, or only its first bytes, as a power cut would."""
        if log_write is None:
            return
        for segment_seq, offset, buffers in log_write.writes:
            data = b"".join(bytes(buffer) for buffer in buffers)[:bytes_max]
            bytes_max -= len(data)
            file = self.ensure(segment_seq)
            assert offset + len(data) <= self.segment_bytes, "never past the end of a segment"
            file[offset : offset + len(data)] = data

    def copy(self) -> Segments:
        other = Segments(self.segment_bytes, self.filler)
        other.files = {segment_seq: bytearray(file) for segment_seq, file in self.files.items()}
        return other


def write_size(log_write: LogWrite) -> int:
    return sum(len(buffer) for write in log_write.writes for buffer in write.buffers)


def make_log(segments: Segments, *, cache_bytes: int = CACHE_BYTES) -> EntryLog:
    return EntryLog(
        start=GENESIS,
        identity=IDENTITY,
        crc64=crc64,
        read=segments.read,
        segment_bytes=segments.segment_bytes,
        cache_bytes=cache_bytes,
    )


def flush(log: EntryLog, segments: Segments) -> None:
    """Write and flush everything the log has to hand out."""
    log_write = log.take_write()
    segments.write(log_write)
    if log_write is not None:
        log.mark_durable(log_write.last_index, log_write.last_term)


def written(entries: Sequence[Entry], segments: Segments) -> EntryLog:
    """A log with these entries on disk."""
    log = make_log(segments)
    log.append(entries)
    flush(log, segments)
    return log


def watermark_at(log: EntryLog, index: int) -> Watermark:
    return Watermark(1, log.point_at(index), log.table.start)


def recovered(
    segments: Segments, watermark: Watermark = FIRST_WATERMARK, applied_index: int = 0
) -> Recovered:
    return recover(
        watermark=watermark,
        applied_index=applied_index,
        read=segments.read,
        identity=IDENTITY,
        crc64=crc64,
        segment_bytes=segments.segment_bytes,
    )


def reopened(segments: Segments, found: Recovered, *, cache_bytes: int = CACHE_BYTES) -> EntryLog:
    return EntryLog(
        start=found.table.start,
        identity=IDENTITY,
        crc64=crc64,
        read=segments.read,
        segment_bytes=segments.segment_bytes,
        cache_bytes=cache_bytes,
        table=found.table,
    )


def entries_of(log: EntryLog) -> list[Entry]:
    return log.entries(log.first_index, log.last_index, 1 << 30)
