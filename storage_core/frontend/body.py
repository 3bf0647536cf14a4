"""A request body on its way from the socket to the log, in bounded memory.

Bytes that have arrived and are not yet replicated are counted twice over: per request, where the
connection stops reading at a quarter of the window, and for all requests together in a Budget. A
stream that meets a full budget gives up what it holds as a short chunk, so that a thousand
half-filled chunks can't lock each other out. A small body takes its whole length at once or waits
at the door, and has a deadline as a whole; so what is promised is also given back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from storage_core.catalog.commands import CHUNK_BYTES

# Reading stops here: what is buffered stays under two chunks, the rest of the window is in flight.
BUFFERED_BYTES_MAX: Final = CHUNK_BYTES


class ClientGone(Exception):
    """The client went away, or broke HTTP, before its request was whole."""


class Budget:
    """Body bytes in memory that nobody has replicated yet, over all connections of a front end."""

    __slots__ = ("_bytes_max", "_waiting", "taken_bytes")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._waiting: deque[Callable[[], None]] = deque()
        self.taken_bytes = 0

    @property
    def is_full(self) -> bool:
        return self.taken_bytes >= self._bytes_max

    def take(self, size: int) -> None:
        self.taken_bytes += size

    def give_back(self, size: int) -> None:
        self.taken_bytes -= size
        assert self.taken_bytes >= 0, "a byte is given back once"
        while self._waiting and not self.is_full:
            self._waiting.popleft()()

    def when_free(self, resume: Callable[[], None]) -> None:
        """Call `resume` once, in turn, when there is room again."""
        self._waiting.append(resume)


class Body:
    """What has arrived of one body. Filled by the connection, emptied by one reader."""

    __slots__ = (
        "_budget", "_on_room", "_pieces", "_waiter", "buffered_bytes", "ended", "error",
        "received_bytes",
    )  # fmt: skip

    def __init__(self, budget: Budget, on_room: Callable[[], None]) -> None:
        self._budget = budget
        self._on_room = on_room
        self._pieces: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.buffered_bytes = 0
        self.received_bytes = 0
        self.ended = False
        self.error: Exception | None = None

    def feed(self, data: bytes) -> None:
        self._pieces.append(data)
        self.buffered_bytes += len(data)
        self.received_bytes += len(data)
        self._budget.take(len(data))
        if self.buffered_bytes >= CHUNK_BYTES or self._budget.is_full:
            self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def fail(self, error: Exception) -> None:
        if not self.ended:
            self.error = error
            self._wake()

    @property
    def is_over(self) -> bool:
        return self.buffered_bytes >= BUFFERED_BYTES_MAX

    def drop(self) -> None:
        """Forget what is buffered: nobody will read it."""
        dropped, self.buffered_bytes = self.buffered_bytes, 0
        self._pieces.clear()
        if dropped:
            self._budget.give_back(dropped)

    def take_all(self) -> bytes:
        """The whole of a body that has ended; its bytes stay in the budget until given back."""
        assert self.ended, "only a whole body is taken at once"
        pieces, self.buffered_bytes = self._pieces, 0
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = deque()
        return data

    async def read(self, size: int) -> bytes:
        """Up to `size` bytes; fewer at the end or under a full budget, none only at the end.

        What is returned stays in the budget: the reader gives it back when it is replicated.
        """
        while self.buffered_bytes < size and not self.ended:
            if self.error is not None:
                raise self.error
            if self._budget.is_full and self.buffered_bytes:
                break
            self._waiter = asyncio.get_running_loop().create_future()
            self._on_room()
            await self._waiter
        data = self._cut(size)
        self._on_room()
        return data

    def _cut(self, size: int) -> bytes:
        pieces = self._pieces
        taken: list[bytes] = []
        missing = size
        while missing and pieces:
            piece = pieces.popleft()
            if len(piece) > missing:
                pieces.appendleft(piece[missing:])
                piece = piece[:missing]
            taken.append(piece)
            missing -= len(piece)
        self.buffered_bytes -= size - missing
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
