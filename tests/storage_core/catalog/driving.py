"""A log of one writer around a catalog: commands in, entries laid out, outcomes back.

It keeps every entry, so that a catalog that lost rows can be brought up to date by the log, and
every body by its place, so that a test can read a blob's bytes through its extents.
"""

from __future__ import annotations

import struct

from storage_core.catalog import codec, keys
from storage_core.catalog.commands import Command, CreateAccount, CreateContainer, Outcome
from storage_core.catalog.machine import Catalog
from storage_core.catalog.view import CatalogView
from storage_core.index.memory import MemoryIndex
from storage_core.index.port import IndexPort
from storage_core.log.format import HEADER_BYTES, Extent, LogPoint, Position
from storage_core.raft.messages import CHUNK, COMMAND, MOVE, NOOP, Entry

ACCOUNT = "account"
CONTAINER = "box"
TERM = 3
START_MS = 1_700_000_000_000
# Small, so that a few bodies fill one and the accounts of several segments are kept.
SEGMENT_BYTES = 2048

Item = tuple[Entry, Position, int]


class Driver:
    """`index` may be any index; `remembered_count` is the catalog's."""

    def __init__(self, index: IndexPort | None = None, *, remembered_count: int = 64) -> None:
        self.index = MemoryIndex() if index is None else index
        self.remembered_count = remembered_count
        self.catalog = Catalog(self.index, remembered_count=remembered_count)
        self.log: list[Item] = []
        self.ends: list[LogPoint] = []
        self.bodies: dict[tuple[int, int], bytes] = {}
        self.time_ms = START_MS
        self._at = Position(0, 0)

    @property
    def view(self) -> CatalogView:
        return self.catalog.view()

    def append(
        self, command: Command | None, body: bytes = b"", op_id: bytes | None = None
    ) -> Entry:
        """Lay one entry out in the log; nothing is applied. None is a leader's no-op."""
        index = len(self.log) + 1
        meta = b"" if command is None else codec.encode(command)
        kinds = {"Chunk": CHUNK, "Move": MOVE}
        entry = Entry(
            term=TERM,
            index=index,
            kind=NOOP if command is None else kinds.get(type(command).__name__, COMMAND),
            time_ms=self.time_ms,
            op_id=index.to_bytes(16, "big") if op_id is None else op_id,
            meta=meta,
            body=body,
            body_crc=crc_of(body),
        )
        size = (HEADER_BYTES + len(meta) + len(body) + 7) // 8 * 8
        start = self._at
        if start.offset + size > SEGMENT_BYTES:
            start = Position(start.segment_seq + 1, 0)
        self._at = Position(start.segment_seq, start.offset + size)
        self.log.append((entry, start, len(meta)))
        self.ends.append(LogPoint(index, TERM, self._at, index * 7))
        self.bodies[start.segment_seq, start.offset + HEADER_BYTES + len(meta)] = body
        return entry

    def settle(self, count: int | None = None) -> list[Outcome]:
        """Apply what is due, or the next `count` of it, as one batch."""
        applied = self.catalog.applied()
        first = 0 if applied is None else applied.index
        stop = len(self.log) if count is None else min(len(self.log), first + count)
        if first == stop:
            return []
        return self.catalog.apply(self.log[first:stop], self.ends[stop - 1])

    def do(self, command: Command, body: bytes = b"", op_id: bytes | None = None) -> Outcome:
        self.append(command, body, op_id)
        return self.settle()[-1]

    def reopen(self) -> None:
        """What a restart does: a new catalog over the rows that are left."""
        self.catalog = Catalog(self.index, remembered_count=self.remembered_count)

    def extent_of(self, index: int) -> Extent:
        """Where the body of the entry at `index` lies."""
        entry, start, meta_bytes = self.log[index - 1]
        offset = start.offset + HEADER_BYTES + meta_bytes
        return Extent(start.segment_seq, offset, len(entry.body), entry.body_crc)

    def read(self, container: str, name: str) -> bytes | None:
        """A blob's bytes, through its extents."""
        row = self.view.blob(ACCOUNT, container, name)
        if row is None:
            return None
        content = b"".join([self.bodies[e.segment_seq, e.offset] for e in row.extents])
        assert len(content) == row.size
        return content

    def tidy(self, time_ms: int = 0) -> int:
        """Do the leader's housekeeping until nothing is due; return how many entries it took."""
        count = 0
        while (command := self.catalog.housekeeping(time_ms)) is not None:
            assert self.do(command).code == ""
            count += 1
            assert count < 1000, "housekeeping never ends"
        return count


def with_container(remembered_count: int = 64) -> Driver:
    """A driver that has an account with one container."""
    driver = Driver(remembered_count=remembered_count)
    assert driver.do(CreateAccount(ACCOUNT, (b"key",))).code == ""
    assert driver.do(CreateContainer(ACCOUNT, CONTAINER)).code == ""
    return driver


def crc_of(body: bytes) -> int:
    """Any function of the bytes does: the catalog passes checksums on and computes none."""
    value = 0xCBF29CE484222325
    for byte in body:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def all_rows(index: IndexPort) -> dict[bytes, bytes]:
    return dict(index.scan(b"\x00", b"\xff", 1_000_000))


def recount(index: IndexPort) -> dict[int, int]:
    """Live bytes of each segment, read off the rows by their documented layout."""
    live: dict[int, int] = {}
    for key, raw in all_rows(index).items():
        kind = key[:1]
        if kind == keys.BLOB:
            is_paged = raw[1] & 2
            packed = b"" if is_paged else raw[64 + struct.unpack_from("<I", raw, 60)[0] :]
        elif kind == keys.STAGED_BLOCK:
            packed = raw[9:]
        elif kind in (keys.EXTENT_PAGE, keys.UPLOAD_PAGE):
            packed = raw
        else:
            continue
        for segment_seq, _, length, _ in struct.iter_unpack("<QIIQ", packed):
            live[segment_seq] = live.get(segment_seq, 0) + length
    return live
