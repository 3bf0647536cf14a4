"""A thread for each source, so that one that hangs delays no decision.

The watch never asks anybody anything while it decides: it takes what each poller last got, and how
old that is. A source that doesn't answer leaves its last answer standing and aging; when it hangs
for good, exactly one thread hangs with it.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Poller(Generic[T]):
    """Asks once every `every_s`, beginning at `start`. Read its answers from any thread."""

    def __init__(self, name: str, ask: Callable[[], T], *, every_s: float = 1.0) -> None:
        self._ask = ask
        self._every_s = every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"poll-{name}", daemon=True)
        # One tuple, replaced whole: readers need no lock.
        self._answer: tuple[T, int] | None = None
        self.reason = "not asked yet"

    @property
    def answer(self) -> tuple[T, int] | None:
        """The last good answer and when it came, in Unix ms; None if there was none yet."""
        return self._answer

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after its question under way; nobody waits for that."""
        self._stopped.set()

    def _work(self) -> None:
        while not self._stopped.is_set():
            began_s = time.monotonic()
            self.ask_once()
            self._stopped.wait(max(0.05, self._every_s - (time.monotonic() - began_s)))

    def ask_once(self) -> None:
        """One question; a failure is kept as the reason for having no newer answer."""
        try:
            value = self._ask()
        except Exception as error:  # The edge: a poller outlives whatever one answer does to it.
            self.reason = f"{type(error).__name__}: {error}"[:200]
            return
        self.reason = ""
        self._answer = (value, time.time_ns() // 1_000_000)
