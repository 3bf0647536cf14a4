"""What the golden files hold. `docs/formats/log.md` shows their bytes; they never change.

A format that must change gets a new version and new files beside these.
"""

from __future__ import annotations

from storage_core.io.checksum import crc64
from storage_core.log.format import GENESIS, LogPoint, Position
from storage_core.log.slots import Meta, Watermark
from storage_core.raft.messages import CHUNK, COMMAND, MOVE, NOOP, Entry, HardState

SEGMENT_BYTES = 512


def _entry(index: int, term: int, kind: int, meta: bytes, body: bytes) -> Entry:
    return Entry(
        term=term,
        index=index,
        kind=kind,
        time_ms=1_790_000_000_000 + index,
        op_id=bytes(range(16 * index, 16 * index + 16)),
        meta=meta,
        body=body,
        body_crc=crc64(body),
    )


ENTRIES = [
    _entry(1, 1, NOOP, b"", b""),
    _entry(2, 1, COMMAND, b"put", b"123456789"),
    _entry(3, 3, CHUNK, b"chunk 0", bytes(range(200))),
    _entry(4, 3, MOVE, b"", b"holdfast"),
]

HARD_STATES = [
    HardState(sequence=6, term=3, voted_for=None, commit_index=2),
    HardState(sequence=7, term=4, voted_for=1, commit_index=3),
]

DURABLE = LogPoint(index=2, term=1, position=Position(0, 224), record_crc=0x7AF95F2969CEFE89)
WATERMARKS = [
    Watermark(sequence=3, durable=DURABLE, start=GENESIS),
    Watermark(sequence=2, durable=GENESIS, start=GENESIS),
]

METAS = [Meta(sequence=0, segment_bytes=SEGMENT_BYTES, created_ms=1_790_000_000_000)] * 2
