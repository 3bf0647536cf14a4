"""The spool: what a sender was told is taken lies in a file before it is told.

Storing costs milliseconds and may be behind; receiving must not be. So each accepted body is
appended to a file, answered, and stored afterwards. A file is one batch: it is sealed after a
second or a few megabytes, stored under its own name as the deduplication token, and deleted. A
file found at start was not deleted and is stored again, which the token makes harmless; names
come from the clock and are never used twice.

The file outlives a kill of the process (the page cache holds it), not a loss of power: signals
are evidence, not data. docs/formats/otlp-spool.md has the bytes.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

MAGIC: Final = b"HFS1"
RECORD: Final = struct.Struct("<4sB3xIIQ")
"""magic, signal, length of the body, CRC-32 of the body, time of arrival (Unix ms)."""
TRACES: Final = 1
METRICS: Final = 2
LOGS: Final = 3

SEAL_BYTES: Final = 8 * 1024 * 1024
SEAL_AGE_S: Final = 1.0
SEAL_AGE_METRICS_S: Final = 5.0
"""A file of metrics only may wait longer: live pages read the rings, not the store."""
SPOOL_BYTES_MAX: Final = 512 * 1024 * 1024
SUFFIX: Final = ".spool"


class SpoolFull(Exception):
    """The store is so far behind that nothing more is taken."""


class SpoolRecord(NamedTuple):
    """One accepted body, as protobuf."""

    signal: int
    received_ms: int
    body: bytes


class Sealed(NamedTuple):
    """A file that nobody writes any more."""

    path: Path
    size_bytes: int


class Spool:
    """The writer's side; one thread appends, another takes sealed files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._lock = threading.Lock()
        self._ready: deque[Sealed] = deque()
        self._fd = -1
        self._path = folder
        self._size_bytes = 0
        self._opened_s = 0.0
        self._metrics_only = True
        self._last_name = 0
        self.bytes = 0
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            size_bytes = path.stat().st_size
            self._ready.append(Sealed(path, size_bytes))
            self.bytes += size_bytes
        self.found_count = len(self._ready)
        """Files that an earlier process left."""

    def append(self, signal: int, body: bytes) -> None:
        """Keep one body. When this returns, a kill of this process can't lose it."""
        with self._lock:
            if self.bytes + len(body) > SPOOL_BYTES_MAX:
                raise SpoolFull
            if self._fd < 0:
                self._open()
            head = RECORD.pack(
                MAGIC, signal, len(body), zlib.crc32(body), time.time_ns() // 1_000_000
            )
            _write_all(self._fd, head + body)
            self._size_bytes += len(head) + len(body)
            self.bytes += len(head) + len(body)
            self._metrics_only = self._metrics_only and signal == METRICS
            if self._size_bytes >= SEAL_BYTES:
                self._seal()

    def take(self, *, now: bool = False) -> Sealed | None:
        """The oldest sealed file; seals the open one if it is old enough, or `now`."""
        with self._lock:
            if self._fd >= 0:
                age_s = time.monotonic() - self._opened_s
                if now or age_s >= (SEAL_AGE_METRICS_S if self._metrics_only else SEAL_AGE_S):
                    self._seal()
            return self._ready.popleft() if self._ready else None

    def stored(self, sealed: Sealed) -> None:
        """The file's contents are in the store."""
        sealed.path.unlink(missing_ok=True)
        with self._lock:
            self.bytes -= sealed.size_bytes

    def put_back(self, sealed: Sealed) -> None:
        """The file could not be stored now; it is next again."""
        with self._lock:
            self._ready.appendleft(sealed)

    def close(self) -> None:
        """Seal what is open; it is stored at the next start if not before."""
        with self._lock:
            if self._fd >= 0:
                self._seal()

    def _open(self) -> None:
        self._last_name = max(time.time_ns(), self._last_name + 1)
        self._path = self._folder / f"{self._last_name:016x}{SUFFIX}"
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._size_bytes = 0
        self._opened_s = time.monotonic()
        self._metrics_only = True

    def _seal(self) -> None:
        os.close(self._fd)
        self._fd = -1
        self._ready.append(Sealed(self._path, self._size_bytes))


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class SpoolDamage(Exception):
    """A record that is neither whole nor a torn tail."""


def read(data: bytes) -> Iterator[SpoolRecord]:
    """The records of a file. A torn tail ends it: nobody was told that it was taken."""
    offset = 0
    while offset < len(data):
        if offset + RECORD.size > len(data):
            return
        magic, signal, length, crc, received_ms = RECORD.unpack_from(data, offset)
        if magic != MAGIC:
            raise SpoolDamage(f"no record at {offset}")
        start = offset + RECORD.size
        body = data[start : start + length]
        if len(body) < length:
            return
        if zlib.crc32(body) != crc:
            raise SpoolDamage(f"checksum of the record at {offset}")
        yield SpoolRecord(signal, received_ms, body)
        offset = start + length
