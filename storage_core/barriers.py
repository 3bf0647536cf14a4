"""Readers that wait until this node has seen everything that was acknowledged before they asked.

One question to consensus serves all readers of a tick: they share a context. If it can't be
answered (no leader, a lost message) they ask again until their deadline, because a read may be
repeated freely; a client learns of an election only as a slower answer. Who asks again keeps the
answer to the earlier question, too: a node that lags by more than the time between two questions
would otherwise run after the newest read point for ever.
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
"""A question not answered by now is asked once more: three heartbeats."""


class Reader:
    """One waiting read."""

    __slots__ = ("clock", "deadline_us", "is_done", "on_ready")

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
        self.is_done = False


class Question:
    """Asked once for all its readers. `is_repeated`: they have joined a later one as well."""

    __slots__ = ("asked_us", "is_repeated", "readers")

    def __init__(self, asked_us: int, readers: list[Reader]) -> None:
        self.asked_us = asked_us
        self.readers = readers
        self.is_repeated = False


class Barriers:
    """All waiting readers of one node."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._gathering: list[Reader] = []
        self._asked: dict[int, Question] = {}
        self._last_context = 0

    @property
    def waiting_count(self) -> int:
        questions = self._asked.values()
        waiting = {id(reader) for question in questions for reader in _open(question.readers)}
        return len(waiting.union(map(id, self._gathering)))

    @property
    def question_count(self) -> int:
        return len(self._asked)

    def wait(self, reader: Reader, now_us: int) -> None:
        """Join the next question."""
        reader.deadline_us = min(reader.deadline_us, now_us + PARKED_US_MAX)
        self._gathering.append(reader)

    def next_context(self, now_us: int) -> int | None:
        """The context to ask with, if somebody waits for one."""
        if not self._gathering:
            return None
        readers = _open(self._gathering)
        self._gathering = []
        if not readers:
            return None
        self._last_context += 1
        self._asked[self._last_context] = Question(now_us, readers)
        return self._last_context

    def ready(self, context: int) -> None:
        """The read point of `context` is applied here."""
        question = self._asked.pop(context, None)
        if question is None:
            return
        for reader in _open(question.readers):
            reader.is_done = True
            reader.clock.stamp(names.BARRIER)
            self._loop.call_soon(reader.on_ready, None)

    def failed(self, context: int) -> None:
        """Nobody could answer; its readers join the next question."""
        question = self._asked.pop(context, None)
        if question is not None and not question.is_repeated:
            self._gathering.extend(_open(question.readers))

    def sweep(self, now_us: int) -> None:
        """End readers past their deadline; have those asked in vain ask again."""
        for context, question in list(self._asked.items()):
            question.readers = _open(question.readers)
            if not question.readers:
                del self._asked[context]
            elif not question.is_repeated and now_us - question.asked_us > ASK_AGAIN_US:
                question.is_repeated = True
                self._gathering.extend(question.readers)
        kept: list[Reader] = []
        for reader in _open(self._gathering):
            if now_us > reader.deadline_us:
                reader.is_done = True
                error = Unavailable("no linearizable read point in time", "none")
                self._loop.call_soon(reader.on_ready, error)
            else:
                kept.append(reader)
        self._gathering = kept


def _open(readers: list[Reader]) -> list[Reader]:
    return [reader for reader in readers if not reader.is_done]
