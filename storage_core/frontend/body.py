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
# Most requests have no body: they share this, which is never added to.
_NOTHING: Final[deque[bytes]] = deque(maxlen=0)


class ClientGone(Exception):
    """The client went away, or broke HTTP, before its request was whole."""


class Budget:
    """Body bytes in memory that nobody has replicated yet, over all connections of a front end."""

    __slots__ = ("_waiting", "bytes_max", "taken_bytes")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._waiting: deque[Callable[[], None]] = deque()
        self.taken_bytes = 0

    @property
    def is_full(self) -> bool:
        return self.taken_bytes >= self.bytes_max

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
        "_budget", "_held_bytes", "_on_room", "_pieces", "_waiter", "buffered_bytes", "ended",
        "error", "received_bytes",
    )  # fmt: skip

    def __init__(self, budget: Budget, on_room: Callable[[], None]) -> None:
        self._budget = budget
        self._on_room = on_room
        self._pieces = _NOTHING
        self._waiter: asyncio.Future[None] | None = None
        # Taken from the budget and not yet given back.
        self._held_bytes = 0
        self.buffered_bytes = 0
        self.received_bytes = 0
        self.ended = False
        self.error: Exception | None = None

    def feed(self, data: bytes) -> None:
        size = len(data)
        if self._pieces is _NOTHING:
            self._pieces = deque()
        self._pieces.append(data)
        self.buffered_bytes += size
        self.received_bytes += size
        self._held_bytes += size
        self._budget.taken_bytes += size
        if self._waiter is not None and (self.is_over or self._budget.is_full):
            self._wake()

    def end(self) -> None:
        self.ended = True
        if self._waiter is not None:
            self._wake()

    def fail(self, error: Exception) -> None:
        """No more will come, and why. A body that is whole can't fail any more."""
        if not self.ended:
            self.error = error
            self._wake()

    @property
    def is_over(self) -> bool:
        """Whether the connection should stop reading for a while."""
        return self.buffered_bytes >= BUFFERED_BYTES_MAX

    def drop(self) -> None:
        """Forget what is buffered: nobody will read it."""
        size, self.buffered_bytes = self.buffered_bytes, 0
        self._pieces.clear()
        self.give_back(size)

    def give_back(self, size: int) -> None:
        """`size` bytes that were read are replicated, or of no use."""
        size = min(size, self._held_bytes)
        if size:
            self._held_bytes -= size
            self._budget.give_back(size)

    def settle(self) -> None:
        """The request is answered: whatever is still held is of no use."""
        if self._held_bytes:
            self._pieces.clear()
            self.buffered_bytes = 0
            self.give_back(self._held_bytes)

    def take_all(self) -> bytes:
        """The whole of a body that has ended, still held until the request is settled."""
        assert self.ended, "only a whole body is taken at once"
        pieces, self._pieces = self._pieces, _NOTHING
        self.buffered_bytes = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def read(self, size: int) -> bytes:
        """Up to `size` bytes; fewer at the end or under a full budget, none only at the end.

        The reader gives back what it got when that is replicated.
        """
        while self.buffered_bytes < size and not self.ended:
            if self.error is not None:
                raise self.error
            if not self._budget.is_full:
                await self._more()
            elif self.buffered_bytes:
                break
            else:
                await self._room_in_budget()
        data = self._cut(size)
        if not self.is_over and not self._budget.is_full:
            self._on_room()
        return data

    async def _more(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        self._on_room()
        await self._waiter

    async def _room_in_budget(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        self._budget.when_free(self._wake)
        await self._waiter

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
