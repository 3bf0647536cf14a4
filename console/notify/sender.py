"""One thread for each channel, started before it is needed, that never gives up early.

A message that can't even be put into words for a channel is reported like one that was refused: the
thread outlives it, since the next page needs it.

A message waits in a bounded queue and is tried until it is taken, refused for good, or TELL_S has
passed; between tries the wait doubles, with jitter, so that a receiver that comes back isn't hit by
all at once. Every outcome is reported, also that of a message for which there was no room. Neither
a file nor a database is touched here, so a stalled disk delays nothing.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from console.notify.channels import Channel, NotTaken
from console.notify.message import Message

WAITING_MAX = 200
ATTEMPT_S_MAX = 10.0
TELL_S = 180.0
"""Later, a page is history: the chain has gone on, and the next message says more."""
WAIT_FIRST_S = 1.0
WAIT_MAX_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one message went over one channel. `reason` is empty when it was taken."""

    message: Message
    channel: str
    is_delivered: bool
    attempt_count: int
    took_ms: int
    reason: str = ""


Report = Callable[[Outcome], None]
Make = Callable[[], Message]


def attempt(
    channel: Channel,
    message: Message,
    *,
    tell_s: float = TELL_S,
    wait: Callable[[float], bool] = lambda seconds: threading.Event().wait(seconds),
    monotonic_s: Callable[[], float] = time.monotonic,
    rng: random.Random | None = None,
) -> Outcome:
    """Try until taken, refused, out of time, or `wait` says that we are to stop."""
    dice = rng or random.Random()
    start_s = monotonic_s()
    pause_s, count, reason = WAIT_FIRST_S, 0, ""
    while True:
        left_s = tell_s - (monotonic_s() - start_s)
        if left_s <= 0:
            break
        count += 1
        try:
            channel.send(message, min(ATTEMPT_S_MAX, left_s))
        except NotTaken as error:
            reason = str(error)
            if not error.may_help or wait(pause_s * dice.uniform(0.5, 1.0)):
                break
            pause_s = min(2 * pause_s, WAIT_MAX_S)
        except Exception as error:  # The edge: a message that has no form must cost itself only.
            reason = f"can't be sent: {type(error).__name__}: {error}"
            break
        else:
            reason = ""
            break
    return Outcome(
        message=message,
        channel=channel.name,
        is_delivered=not reason,
        attempt_count=count,
        took_ms=int((monotonic_s() - start_s) * 1000),
        reason=reason,
    )


class Sender:
    """The thread of one channel. `make` builds the message when its turn comes, so it is fresh."""

    def __init__(self, channel: Channel, report: Report) -> None:
        self.channel = channel
        self._report = report
        self._queue: queue.Queue[Make | None] = queue.Queue(WAITING_MAX)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"page {channel.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        self._stopped.set()
        self._queue.put(None, timeout=timeout_s)
        self._thread.join(timeout_s)

    def put(self, make: Make) -> bool:
        """Never waits. False: too many wait already."""
        try:
            self._queue.put_nowait(make)
        except queue.Full:
            return False
        return True

    def _run(self) -> None:
        while not self._stopped.is_set():
            make = self._queue.get()
            if make is not None:
                message = make()
                self._report(attempt(self.channel, message, wait=self._stopped.wait))
