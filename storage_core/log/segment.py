"""The files that segments are kept in: made ready ahead, taken in one rename, used again.

Problem: the first write to a freshly allocated block commits the file system's journal, which makes
a flush 3 to 4 times slower. Idea: write only over blocks that were written before. A small pool of
ready files is zeroed while the disk is idle, and filled by segments that the cleaner released;
a recycled file keeps its old bytes, which no reader takes for records (they state another segment).

What always holds: a live segment has its full length; a name changes by rename followed by a flush
of the directory; a segment is released only when a durable watermark starts behind it. Safe for
threads: the log thread takes segments while a background thread zeroes and releases.

Read next: `writer`.
"""

from __future__ import annotations

import re
import threading

from storage_core.io.disk import Disk
from storage_core.log.format import segment_name
from storage_core.log.slots import Watermark

READY_COUNT = 2
# One step of zeroing, flushed by itself: at most some milliseconds in a log flush's way.
ZERO_STEP_BYTES = 4 * 1024 * 1024

_DIRECTORY = "log"
_ZEROING = "log/zeroing.tmp"
_LIVE = re.compile(r"^([0-9a-f]{16})\.seg$")
_READY = re.compile(r"^ready-([0-9]+)\.seg$")
_ZEROS = bytes(1024 * 1024)


class SegmentPool:
    """The log directory of one node."""

    def __init__(
        self, disk: Disk, *, segment_bytes: int, ready_count_max: int = READY_COUNT
    ) -> None:
        """Take stock of what is there; what a crash left half made is removed."""
        self.segment_bytes = segment_bytes
        self.ready_count_max = ready_count_max
        # Segments that had to be taken before one was ready; their writes are slow.
        self.unready_count = 0
        self._disk = disk
        self._lock = threading.Lock()
        self._live: set[int] = set()
        self._ready: list[str] = []
        self._ready_number = 0
        self._zeroed_bytes = 0
        disk.make_dir(_DIRECTORY)
        disk.fsync_dir(".")
        self._take_stock()

    def live(self) -> list[int]:
        """The segments that hold records, or may: in order."""
        with self._lock:
            return sorted(self._live)

    @property
    def ready_count(self) -> int:
        return len(self._ready)

    @property
    def log_bytes(self) -> int:
        """Room taken on disk, ready files included."""
        return (len(self._live) + len(self._ready)) * self.segment_bytes

    def read(self, segment_seq: int, offset: int, length: int) -> bytes:
        """Bytes of a live segment; none where there is no such segment."""
        if segment_seq not in self._live:
            return b""
        return self._disk.pread(segment_name(segment_seq), offset, length)

    def ensure(self, segment_seq: int) -> None:
        """There is a file for `segment_seq` when this returns, and its name is durable."""
        if segment_seq in self._live:
            return
        with self._lock:
            name = self._ready.pop(0) if self._ready else self._make_unready()
            self._disk.rename(name, segment_name(segment_seq))
            self._disk.fsync_dir(_DIRECTORY)
            self._live.add(segment_seq)

    def release(self, segment_seq: int, durable: Watermark) -> None:
        """Recycle a segment. `durable` is the watermark on disk: recovery must not want it."""
        assert segment_seq < durable.start.position.segment_seq, (segment_seq, durable.start)
        with self._lock:
            self._live.remove(segment_seq)
            if len(self._ready) < self.ready_count_max:
                self._add_ready(segment_name(segment_seq))
            else:
                self._disk.unlink(segment_name(segment_seq))
                self._disk.fsync_dir(_DIRECTORY)

    def zero_step(self) -> bool:
        """Zero a little of the next ready file. False when the pool is full.

        The caller paces these: steps one after the other halve the log's throughput.
        """
        if len(self._ready) >= self.ready_count_max:
            return False
        disk = self._disk
        if not self._zeroed_bytes:
            disk.create_zeroed(_ZEROING, 0)
        step_bytes = min(ZERO_STEP_BYTES, self.segment_bytes - self._zeroed_bytes)
        view = memoryview(_ZEROS)
        buffers = [
            view[: min(len(view), step_bytes - at)] for at in range(0, step_bytes, len(view))
        ]
        disk.pwritev(_ZEROING, self._zeroed_bytes, buffers)
        disk.fdatasync(_ZEROING)
        self._zeroed_bytes += step_bytes
        if self._zeroed_bytes == self.segment_bytes:
            self._zeroed_bytes = 0
            with self._lock:
                self._add_ready(_ZEROING)
        return len(self._ready) < self.ready_count_max

    def prepare(self) -> None:
        """Fill the pool at once: at a first start, before anybody waits."""
        while self.zero_step():
            pass

    def _take_stock(self) -> None:
        disk = self._disk
        for name in disk.list(_DIRECTORY):
            path = "%s/%s" % (_DIRECTORY, name)
            live = _LIVE.match(name)
            ready = _READY.match(name)
            if live:
                self._live.add(int(live.group(1), 16))
            elif ready:
                self._ready.append(path)
                self._ready_number = max(self._ready_number, int(ready.group(1)) + 1)
            elif path == _ZEROING:
                disk.unlink(path)
        disk.fsync_dir(_DIRECTORY)

    def _add_ready(self, name: str) -> None:
        """Put a full-length file into the pool. The lock is held."""
        ready = "%s/ready-%d.seg" % (_DIRECTORY, self._ready_number)
        self._ready_number += 1
        self._disk.rename(name, ready)
        self._disk.fsync_dir(_DIRECTORY)
        self._ready.append(ready)

    def _make_unready(self) -> str:
        """A file of full length and no blocks: slow to write, but there at once."""
        name = "%s/ready-%d.seg" % (_DIRECTORY, self._ready_number)
        self._ready_number += 1
        self.unready_count += 1
        self._disk.create_zeroed(name, 0)
        self._disk.truncate(name, self.segment_bytes)
        self._disk.fdatasync(name)
        return name
