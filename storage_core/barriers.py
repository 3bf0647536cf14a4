"""Readers that wait until this node has seen everything that was acknowledged before they asked.

One question to consensus serves all readers of a tick: they share a context. If it can't be
answered (no leader, a lost message) they ask again until their deadline, because a read may be
repeated freely; a client learns of an election only as a slower answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from storage_core.errors import StoreError, Unavailable
from storage_core.pending import PARKED_US_MAX
from telemetry import names

if TYPE_CHECKING:
    from telemetry.tracing import StageClock

ASK_AGAIN_US = 150_000
"""A question not answered by now is asked anew: three heartbeats."""


class Reader:
    """One waiting read."""

    __slots__ = ("clock", "deadline_us", "on_ready")

    def __init__(
        self,
        *,
        clock: StageClock,
        deadline_us: int,
        on_ready: Callable[[StoreError | None], None],
    ) -> None:
        self.clock = clock
        self.deadline_us = deadline_us
        self.on_ready = on_ready


class Barriers:
    """All waiting readers of one node."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._gathering: list[Reader] = []
        self._asked: dict[int, tuple[int, list[Reader]]] = {}
        self._last_context = 0

    @property
    def waiting_count(self) -> int:
        return len(self._gathering) + sum(len(readers) for _, readers in self._asked.values())

    def wait(self, reader: Reader, now_us: int) -> None:
        """Join the next question."""
        reader.deadline_us = min(reader.deadline_us, now_us + PARKED_US_MAX)
        self._gathering.append(reader)

    def next_context(self, now_us: int) -> int | None:
        """The context to ask with, if somebody waits for one."""
        if not self._gathering:
            return None
        self._last_context += 1
        self._asked[self._last_context] = (now_us, self._gathering)
        self._gathering = []
        return self._last_context

    def ready(self, context: int) -> None:
        """The read point of `context` is applied here."""
        _, readers = self._asked.pop(context, (0, []))
        for reader in readers:
            reader.clock.stamp(names.BARRIER)
            self._loop.call_soon(reader.on_ready, None)

    def failed(self, context: int) -> None:
        """Nobody could answer; its readers join the next question."""
        _, readers = self._asked.pop(context, (0, []))
        self._gathering.extend(readers)

    def sweep(self, now_us: int) -> None:
        """End readers past their deadline; have those asked in vain ask again."""
        for context in [c for c, (at, _) in self._asked.items() if now_us - at > ASK_AGAIN_US]:
            self._gathering.extend(self._asked.pop(context)[1])
        kept: list[Reader] = []
        for reader in self._gathering:
            if now_us > reader.deadline_us:
                error = Unavailable("no linearizable read point in time", "none")
                self._loop.call_soon(reader.on_ready, error)
            else:
                kept.append(reader)
        self._gathering = kept
