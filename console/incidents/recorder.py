"""Writing down, after the fact, what memory decided: one thread and a bounded queue.

Nobody who decides or tells ever waits for this thread. It may stand still for as long as the disk
does; then it goes on where it stood, in order. A batch that the database refuses is taken apart, so
that one bad row costs itself only. What is dropped, because the queue is full or the row is bad, is
counted and said on the watcher's beat.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from django.db import InterfaceError, OperationalError, close_old_connections

from console.incidents import limits

logger = logging.getLogger(__name__)

BATCH_MAX = 200
WAIT_FIRST_S = 0.5
WAIT_MAX_S = 5.0

Work = Callable[[], None]


class Recorder:
    """`write` takes several records and writes all or none of them."""

    def __init__(self, write: Callable[[Sequence[object]], None]) -> None:
        self._write = write
        self._queue: queue.Queue[object] = queue.Queue(limits.RECORDS_WAITING_MAX)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._stopped = threading.Event()
        self.dropped_count = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Write what waits, for at most that long."""
        self._stopped.set()
        self._thread.join(timeout_s)

    @property
    def waiting_count(self) -> int:
        """Records not on disk yet, those under way included."""
        return self._queue.unfinished_tasks

    def put(self, record: object) -> bool:
        """Never waits. False: the queue is full, and this is lost and counted."""
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self.dropped_count += 1
            return False
        return True

    def _run(self) -> None:
        while True:
            batch = self._take()
            if batch:
                self._write_all(batch)
                for _ in batch:
                    self._queue.task_done()
            elif self._stopped.is_set():
                return

    def _take(self) -> list[object]:
        batch: list[object] = []
        with suppress(
            queue.Empty
        ):  # Nothing more waits: what was taken, if anything, is the batch.
            batch.append(self._queue.get(timeout=0.2))
            while len(batch) < BATCH_MAX:
                batch.append(self._queue.get_nowait())
        return batch

    def _write_all(self, batch: Sequence[object]) -> None:
        if self._try(batch):
            return
        for record in batch:
            if not self._try([record]):
                self.dropped_count += 1
                logger.error("a record was refused and is left out: %r", record)

    def _try(self, batch: Sequence[object]) -> bool:
        """False: the database answers, and refuses this."""
        wait_s = WAIT_FIRST_S
        while True:
            close_old_connections()
            try:
                self._write(batch)
            except (OperationalError, InterfaceError) as error:
                # Locked, missing or out of space: no fault of the batch.
                logger.warning("the record of incidents waits for the database: %s", error)
                if self._stopped.wait(wait_s):
                    return False
                wait_s = min(2 * wait_s, WAIT_MAX_S)
            except Exception as error:  # The edge: without this thread nobody's deed is learned.
                logger.error("the database refused %d records: %r", len(batch), error)
                return False
            else:
                return True
