"""Log lines that never hold up whoever writes them.

A log file may lie on the disk that has just stalled. Whoever writes to it then stands still with
the handler's lock in hand, and so does each thread that logs after it, also the one that would have
paged. So in the watcher a line only goes to a bounded queue in memory, and a thread of its own
carries lines on. Lines for which there is no room are dropped and counted, and the count is logged
as soon as lines flow again.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import queue
import threading
import time
from collections.abc import Sequence

LINES_WAITING_MAX = 2_000
"""Lines. The watcher logs what surprised it, and that once: hours of a disk that stands still."""


class LogThread(logging.handlers.QueueHandler):
    """A handler that hands each record to `handlers`, by its own thread."""

    def __init__(
        self, handlers: Sequence[logging.Handler], *, waiting_max: int = LINES_WAITING_MAX
    ) -> None:
        self._lines: queue.Queue[logging.LogRecord | None] = queue.Queue(waiting_max)
        super().__init__(self._lines)
        self._handlers = tuple(handlers)
        self._unsaid_count = 0
        self.dropped_count = 0
        # A daemon: a process that was told to stop does not wait for a disk that stands still.
        self._thread = threading.Thread(target=self._carry, name="log lines", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Write what waits, for at most that long."""
        give_up_s = time.monotonic() + timeout_s
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=timeout_s)
            self._thread.join(max(0.0, give_up_s - time.monotonic()))

    def enqueue(self, record: logging.LogRecord) -> None:
        """Never waits."""
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self.dropped_count += 1
            self._unsaid_count += 1

    def _carry(self) -> None:
        while (record := self._lines.get()) is not None:
            self._write(record)
            if self._unsaid_count:
                dropped, self._unsaid_count = self._unsaid_count, 0
                self._write(_line(f"{dropped} log lines were dropped: nobody could write them"))

    def _write(self, record: logging.LogRecord) -> None:
        for handler in self._handlers:
            if record.levelno >= handler.level:
                handler.handle(record)


def _line(text: str) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None)


def take_over(logger: logging.Logger) -> LogThread:
    """From now on what `logger` hands to its handlers goes there by a thread."""
    thread = LogThread(logger.handlers)
    logger.handlers = [thread]
    thread.start()
    return thread
