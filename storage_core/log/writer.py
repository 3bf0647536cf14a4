"""Carry out what the core hands to the disk, and say when it is durable.

Problem: a flush takes 0.15 to 6 ms and must not stall the loop, yet when nothing else is going on,
the hop to a thread costs more than it saves. Idea: one piece of code that executes a batch of work,
run either by a daemon thread or inline. Work that queued up meanwhile is written together and
flushed once.

What always holds: hard state is flushed before the entries of its term are written; work completes
in the order it was given; nothing completes before its flush returned. The first OSError is the
last thing that happens: `FatalDisk`, nothing completes any more, and the node exits with code 70,
because after a failed flush the page cache no longer tells what is on disk.

Read next: `segment`, `slots`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from storage_core.errors import FatalDisk
from storage_core.io.disk import Disk
from storage_core.log.entries import LogWrite
from storage_core.log.format import Crc64, segment_name
from storage_core.log.segment import SegmentPool
from storage_core.log.slots import (
    SLOT_BYTES,
    SLOT_COUNT,
    Owner,
    Watermark,
    encode_hard_state,
    encode_watermark,
)
from storage_core.raft.messages import HardState

HARD_STATE_NAME = "hard-state"
WATERMARK_NAME = "watermark"


class LogWork(NamedTuple):
    """What one step of the core wants on disk; None where it wants nothing."""

    write_id: int
    hard_state: HardState | None
    log_write: LogWrite | None
    watermark: Watermark | None


class WriteDone(NamedTuple):
    """All of `write_id` is durable. Monotonic times; a shared flush is in each one's times."""

    write_id: int
    append_start_ns: int
    appended_ns: int
    flushed_ns: int


class LogWriter:
    """Writes on a disk, in the calling thread. One caller at a time."""

    def __init__(
        self,
        *,
        disk: Disk,
        pool: SegmentPool,
        owner: Owner,
        crc64: Crc64,
        hard_state_slot: int,
        watermark_slot: int,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """The slot numbers are those that hold the newest values now; the other is written next."""
        self._disk = disk
        self._pool = pool
        self._owner = owner
        self._crc64 = crc64
        self._hard_state_slot = hard_state_slot
        self._watermark_slot = watermark_slot
        self._watermark_index = 0
        self._monotonic_ns = monotonic_ns
        self._failed = False
        self.before_flush: Callable[[], object] | None = None

    def run(self, works: Sequence[LogWork]) -> list[WriteDone]:
        """Make all of `works` durable; raises FatalDisk, and then for ever."""
        if self._failed:
            raise FatalDisk("a write failed before")
        try:
            return self._run(works)
        except OSError as error:
            self._failed = True
            raise FatalDisk("%s" % error) from error

    def _run(self, works: Sequence[LogWork]) -> list[WriteDone]:
        hard_states = [work.hard_state for work in works if work.hard_state is not None]
        if hard_states:
            # Only the last one counts: none of the others was announced.
            self._write_hard_state(hard_states[-1])
        touched: dict[int, None] = {}
        times: list[tuple[int, int, int]] = []
        for work in works:
            start_ns = self._monotonic_ns()
            if work.log_write is not None:
                self._append(work.log_write, touched)
            times.append((work.write_id, start_ns, self._monotonic_ns()))
        for segment_seq in touched:
            self._flush(segment_name(segment_seq))
        flushed_ns = self._monotonic_ns()
        watermarks = [work.watermark for work in works if work.watermark is not None]
        if watermarks:
            self._write_watermark(watermarks[-1])
        return [WriteDone(*appended, flushed_ns) for appended in times]

    def _append(self, log_write: LogWrite, touched: dict[int, None]) -> None:
        # Paired with the watermark's own rule: it covers committed entries, never replaced.
        assert log_write.first_index > self._watermark_index, (
            log_write.first_index,
            self._watermark_index,
        )
        for segment_seq, offset, buffers in log_write.writes:
            self._pool.ensure(segment_seq)
            self._disk.pwritev(segment_name(segment_seq), offset, buffers)
            touched[segment_seq] = None

    def _write_hard_state(self, state: HardState) -> None:
        slot = (self._hard_state_slot + 1) % SLOT_COUNT
        encoded = encode_hard_state(state, self._owner, self._crc64)
        self._disk.pwritev(HARD_STATE_NAME, slot * SLOT_BYTES, [encoded])
        self._flush(HARD_STATE_NAME)
        self._hard_state_slot = slot

    def _write_watermark(self, watermark: Watermark) -> None:
        assert watermark.durable.index >= self._watermark_index, watermark
        slot = (self._watermark_slot + 1) % SLOT_COUNT
        encoded = encode_watermark(watermark, self._owner, self._crc64)
        self._disk.pwritev(WATERMARK_NAME, slot * SLOT_BYTES, [encoded])
        self._flush(WATERMARK_NAME)
        self._watermark_slot = slot
        self._watermark_index = watermark.durable.index

    def _flush(self, name: str) -> None:
        before_flush = self.before_flush
        if before_flush is not None:
            before_flush()
        self._disk.fdatasync(name)


class LogThread:
    """Runs a `LogWriter` on a thread of its own, or inline while that thread has nothing to do.

    `post` brings a call back to the owner's thread (`loop.call_soon_threadsafe`). There, either
    `completed` gets what became durable, in order, or `failed` gets the one FatalDisk.
    """

    def __init__(
        self,
        writer: LogWriter,
        *,
        post: Callable[..., object],
        completed: Callable[[Sequence[WriteDone]], None],
        failed: Callable[[FatalDisk], None],
    ) -> None:
        self._writer = writer
        self._post = post
        self._completed = completed
        self._failed = failed
        self._in_flight_count = 0
        self._queue: queue.SimpleQueue[LogWork | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="log", daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Nothing is in flight: whatever was submitted has been completed here."""
        return self._in_flight_count == 0

    def submit(self, work: LogWork) -> None:
        """Queue work; the owner bounds how much is in flight."""
        self._in_flight_count += 1
        self._queue.put(work)

    def write_inline(self, work: LogWork) -> WriteDone:
        """The same, here and now: only while idle, or the order of writes would be lost."""
        assert self.is_idle, self._in_flight_count
        return self._writer.run([work])[0]

    def close(self) -> None:
        """Finish what was submitted and stop the thread."""
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while True:
            work = self._queue.get()
            works: list[LogWork] = []
            while work is not None:
                works.append(work)
                if self._queue.empty():
                    break
                work = self._queue.get()
            if works and not self._serve_batch(works):
                return
            if work is None:
                return

    def _serve_batch(self, works: list[LogWork]) -> bool:
        try:
            dones = self._writer.run(works)
        except FatalDisk as error:
            self._post(self._failed, error)
            return False
        except BaseException as error:
            # A failed assert here must stop the node as well; a thread dies in silence.
            self._post(self._failed, FatalDisk("log thread: %r" % error))
            raise
        self._post(self._deliver, dones)
        return True

    def _deliver(self, dones: Sequence[WriteDone]) -> None:
        self._in_flight_count -= len(dones)
        assert self._in_flight_count >= 0, self._in_flight_count
        self._completed(dones)
