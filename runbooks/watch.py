"""The watcher's loop: a table of duties, each done when due, none able to stop the others.

The watcher is what remains when everything else has failed, so it must outlive a locked or missing
database, a broker that is gone and a defect in one duty. A duty that fails is logged once with its
reason and tried again after a wait that doubles up to BACKOFF_MAX_S; when it works again, that is
logged too. Between rounds the loop waits on an event, so it never spins and ends at once when told.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runbooks import limits

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """`work` gets the Unix time in ms and returns a short note for the heartbeat, or "". One that
    is `apart` has a thread of its own, since it must not wait while another one hangs.
    """

    name: str
    every_s: float
    work: Callable[[int], str]
    apart: bool = False


class _Turn:
    """When one duty is due next, and how often in a row it has failed."""

    def __init__(self, duty: Duty) -> None:
        self.duty = duty
        self.due_s = 0.0
        self.failures = 0
        self.note = ""

    def take(self, *, now_ms: int, monotonic_s: float) -> None:
        try:
            note = self.duty.work(now_ms)
        except Exception as error:  # The edge: one duty's trouble must not end the watch.
            self._fail(error, monotonic_s)
            return
        if self.failures:
            logger.warning("duty %s works again", self.duty.name)
        self.failures = 0
        self.note = note
        self.due_s = monotonic_s + self.duty.every_s

    def _fail(self, error: Exception, monotonic_s: float) -> None:
        wait_s = min(limits.BACKOFF_FIRST_S * 2 ** min(self.failures, 10), limits.BACKOFF_MAX_S)
        reason = f"{type(error).__name__}: {error}"
        if self.note != reason:
            logger.error("duty %s failed: %s", self.duty.name, reason)
        self.failures += 1
        self.note = reason
        self.due_s = monotonic_s + wait_s


class Watch:
    """Runs duties until stopped. `beat` is told after each round how the duties stand."""

    def __init__(
        self,
        duties: Sequence[Duty],
        *,
        beat: Callable[[int, str], None],
        now_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
    ) -> None:
        assert len({duty.name for duty in duties}) == len(duties), "duty names are unique"
        turns = [_Turn(duty) for duty in duties]
        self._turns = [turn for turn in turns if not turn.duty.apart]
        self._apart = [turn for turn in turns if turn.duty.apart]
        self._beat = beat
        self._now_ms = now_ms
        self._monotonic_s = monotonic_s
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End after the duty under way. Safe in a signal handler."""
        self._stopped.set()

    def run(self) -> None:
        """Round after round, one second apart, until `stop`."""
        for turn in self._apart:
            name = f"duty-{turn.duty.name}"
            # A daemon: a duty that hangs does not keep a process that was told to stop.
            threading.Thread(target=self._run_apart, args=(turn,), name=name, daemon=True).start()
        while not self._stopped.is_set():
            self.round()
            self._stopped.wait(1.0)

    def _run_apart(self, turn: _Turn) -> None:
        while not self._stopped.is_set():
            began_s = self._monotonic_s()
            self._take_if_due(turn)
            self._stopped.wait(max(0.05, 1.0 - (self._monotonic_s() - began_s)))

    def _take_if_due(self, turn: _Turn) -> None:
        if turn.due_s <= self._monotonic_s():
            turn.take(now_ms=self._now_ms(), monotonic_s=self._monotonic_s())

    def round(self) -> None:
        """Do once what is due now, but for what is apart."""
        for turn in self._turns:
            if self._stopped.is_set():
                return
            self._take_if_due(turn)
        turns = [*self._turns, *self._apart]
        failing = [f"{t.duty.name}: {t.note}" for t in turns if t.failures]
        well = [t.note for t in turns if t.note and not t.failures]
        self._beat(self._now_ms(), "; ".join(failing or well))
