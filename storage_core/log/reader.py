"""Read a body at rest, whole and verified.

Problem: a body in the page cache costs a microsecond and one on the device a hundred, and nobody
knows beforehand. Idea: ask the kernel for it without waiting (`RWF_NOWAIT`), on the loop; only a
miss goes to a thread.

What always holds: no byte is returned before its checksum was right, so a range is cut out of a
whole body; damage and unreadable sectors are `DamagedBody`, to be answered by another replica.
A segment that is held is not recycled under a reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from storage_core.errors import DamagedBody
from storage_core.io.disk import Disk
from storage_core.log.format import Crc64, Extent, segment_name


class BodyReader:
    """Bodies of one node. Belongs to the loop's thread, but for `read_blocking`."""

    def __init__(self, disk: Disk, *, crc64: Crc64, executor: Executor | None) -> None:
        """Misses run on `executor`; None is the loop's own."""
        self.cached_count = 0
        self.missed_count = 0
        self._disk = disk
        self._crc64 = crc64
        self._executor = executor
        self._held: dict[int, int] = {}

    def read_now(self, extent: Extent) -> bytes | None:
        """The body if it is in memory, else None: never waits."""
        segment_seq, offset, length, _ = extent
        if not length:
            return b""
        try:
            body = self._disk.pread_now(segment_name(segment_seq), offset, length)
        except OSError as error:
            raise DamagedBody(segment_seq, offset) from error
        if body is None:
            return None
        self.cached_count += 1
        return self._verified(extent, body)

    async def read(self, extent: Extent) -> bytes:
        """The body, from memory or from the device."""
        body = self.read_now(extent)
        if body is not None:
            return body
        self.missed_count += 1
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self.read_blocking, extent)

    def read_blocking(self, extent: Extent) -> bytes:
        """The body, waiting for the device. May run on any thread."""
        segment_seq, offset, length, _ = extent
        try:
            body = self._disk.pread(segment_name(segment_seq), offset, length)
        except OSError as error:
            raise DamagedBody(segment_seq, offset) from error
        return self._verified(extent, body)

    @contextmanager
    def hold(self, extents: Iterable[Extent]) -> Iterator[None]:
        """Keep the segments of `extents` from being recycled: for as long as a response streams."""
        segments = {extent.segment_seq for extent in extents}
        for segment_seq in segments:
            self._held[segment_seq] = self._held.get(segment_seq, 0) + 1
        try:
            yield
        finally:
            for segment_seq in segments:
                self._held[segment_seq] -= 1
                if not self._held[segment_seq]:
                    del self._held[segment_seq]

    def is_held(self, segment_seq: int) -> bool:
        """Whether a response still needs this segment; ask before `SegmentPool.release`."""
        return segment_seq in self._held

    def _verified(self, extent: Extent, body: bytes) -> bytes:
        if len(body) != extent.length or self._crc64(body, 0) != extent.crc:
            raise DamagedBody(extent.segment_seq, extent.offset)
        return body
