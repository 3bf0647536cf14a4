"""Time, chance and the order of events: all three come from the seed and from nowhere else.

What always holds: the same seed gives the same events in the same order and therefore the same
trace hash, on every interpreter and under every hash seed. Chance is drawn from `random()` alone,
because the other methods of `random.Random` differ between versions of Python.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from typing import Any, Callable, List, Sequence, Tuple, TypeVar

Choice = TypeVar("Choice")
TRACE_CHUNK = 4096


class Rng:
    """A stream of chance. Streams of one seed are independent by their number."""

    __slots__ = ("real",)

    def __init__(self, seed: int, stream: int) -> None:
        self.real: Callable[[], float] = random.Random(seed * 1_000 + stream).random

    def below(self, limit: int) -> int:
        return int(self.real() * limit)

    def between(self, low: int, high: int) -> int:
        """An integer of low..high, both included."""
        return low + int(self.real() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        return self.real() < probability

    def pick(self, choices: Sequence[Choice]) -> Choice:
        return choices[int(self.real() * len(choices))]


class World:
    """The one clock and the one queue."""

    def __init__(self) -> None:
        self.now_us = 0
        self.event_count = 0
        self._sequence = 0
        self._queue: List[Tuple[int, int, Callable[..., None], Tuple[Any, ...]]] = []
        self._digest = hashlib.blake2b(digest_size=8)
        self._trace: List[Tuple[Any, ...]] = []

    def after(self, delay_us: int, action: Callable[..., None], *arguments: Any) -> None:
        """Events of one moment happen in the order in which they were planned."""
        assert delay_us >= 0, delay_us
        self._sequence += 1
        heapq.heappush(self._queue, (self.now_us + delay_us, self._sequence, action, arguments))

    def run_until(self, until_us: int) -> None:
        queue = self._queue
        while queue and queue[0][0] <= until_us:
            self.now_us, _, action, arguments = heapq.heappop(queue)
            self.event_count += 1
            action(*arguments)
        self.now_us = until_us

    def note(self, *facts: Any) -> None:
        """Add to the trace. Facts are numbers and strings, never objects or floats."""
        self._trace.append((self.now_us, *facts))
        if len(self._trace) >= TRACE_CHUNK:
            self._fold()

    def trace_hash(self) -> str:
        self._fold()
        return self._digest.hexdigest()

    def tail(self, count: int) -> List[Tuple[Any, ...]]:
        return self._trace[-count:]

    def _fold(self) -> None:
        self._digest.update(repr(self._trace).encode())
        self._trace = []
