"""Writing down, behind the back of who decides.

The watch hands over jobs and goes on at once. One thread does them in order and tries again what
failed, so that a database that is locked, missing or on a disk that hangs costs no decision and, if
it comes back, no row. A job that fails though the database answers is left out after some tries:
it must not hold up all that come after it. The queue is bounded: what does not fit is dropped,
oldest first. Both are counted. What is worth only its newest value, the file that pages read, is
not queued.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, close_old_connections

logger = logging.getLogger(__name__)

WAITING_MAX = 2_000
"""Jobs. A minute of four objectives is one, a change of alerts is one: a day of a dead disk."""
TRIES_MAX = 3
"""Of a job that fails for another reason than that nobody answers or the disk is full."""
NOBODY_ANSWERS = (OperationalError, InterfaceError, OSError)
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 10.0

Job = Callable[[], None]


class Recorder:
    """`put` never blocks."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._newest: Job | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._trouble = ""
        self._refused_count = 0  # In a row, of the first job.
        self.lost = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Do what waits, within the time."""
        self._stopped.set()
        self._wake.set()
        self._thread.join(timeout_s)

    @property
    def waiting(self) -> int:
        """Jobs that are not written down yet."""
        return len(self._jobs)

    def put(self, job: Job) -> None:
        """Have it done, after all that were put before."""
        with self._lock:
            if len(self._jobs) >= WAITING_MAX:
                self._jobs.popleft()
                self.lost += 1
            self._jobs.append(job)
        self._wake.set()

    def put_newest(self, job: Job) -> None:
        """Have it done soon, unless a newer one comes first."""
        self._newest = job
        self._wake.set()

    def _work(self) -> None:
        wait_s, again_s = RETRY_FIRST_S, 0.0
        while not self._stopped.is_set() or self._jobs:
            self._wake.wait(RETRY_FIRST_S)
            self._wake.clear()
            self.do_newest()
            if time.monotonic() < again_s and not self._stopped.is_set():
                continue
            # A connection that broke, or whose file was replaced, is opened afresh.
            close_old_connections()
            if self.drain():
                wait_s = RETRY_FIRST_S
            elif self._stopped.is_set():
                return
            else:
                again_s = time.monotonic() + wait_s
                wait_s = min(2 * wait_s, RETRY_MAX_S)

    def do_newest(self) -> None:
        """Do what only its newest value is worth, also while jobs wait for their next try."""
        newest, self._newest = self._newest, None
        if newest is not None:
            self._try(newest)

    def drain(self) -> bool:
        """Do everything that waits; False if the first job failed and stays."""
        while self._jobs:
            job = self._jobs[0]
            error = self._try(job)
            if error is not None:
                self._refused_count += not isinstance(error, NOBODY_ANSWERS)
                if self._refused_count < TRIES_MAX:
                    return False
                self.lost += 1
            self._refused_count = 0
            with self._lock:
                # It may have been dropped meanwhile, to make room.
                if self._jobs and self._jobs[0] is job:
                    self._jobs.popleft()
        return True

    def _try(self, job: Job) -> Exception | None:
        try:
            job()
        except Exception as error:  # The edge: a job that fails is tried again, whatever it was.
            reason = f"{type(error).__name__}: {error}"
            if reason != self._trouble:
                logger.error("the watch can't write down: %s", reason)
            self._trouble = reason
            return error
        if self._trouble:
            logger.warning("the watch writes down again")
        self._trouble = ""
        return None
