"""Which node took how long over which batch, for the traces that are kept.

A batched stage has no request of its own: one flush serves 64. So times are noted per batch, on
the leader, with what followers report in their acknowledgements; a kept request looks its batch up
by log index. A follower that answers after the quorum is waited for up to a second, so that a
trace shows all disks even where the slowest did not matter.

Follower times arrive as durations and are laid so that they end when the acknowledgement came:
clocks of two machines are never compared.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise

from storage_core import bulk
from storage_core.frontend.port import RemoteStage
from storage_core.io.tasks import spawn
from storage_core.log.writer import WriteDone
from telemetry import names

BATCHES_MAX = 4096
"""About ten seconds at full load."""
LATE_S_MAX = 1.0
ASK_S_MAX = 1.1
"""A leader waits for its followers first; who asks us gives up a little later than we do."""
PEER_STAGES = (names.PEER_RECEIVE, names.PEER_CHECK, names.PEER_APPEND, names.PEER_FLUSH)


class BatchTimes:
    """One write of the leader's log, on its monotonic clock in nanoseconds."""

    __slots__ = (
        "acknowledged",
        "append_start_ns",
        "appended_ns",
        "batch_id",
        "committed_ns",
        "first_index",
        "flushed_ns",
        "last_index",
        "taken_ns",
        "waiters",
    )

    def __init__(self, *, batch_id: int, first_index: int, last_index: int, taken_ns: int) -> None:
        self.batch_id = batch_id
        self.first_index = first_index
        self.last_index = last_index
        self.taken_ns = taken_ns
        self.append_start_ns = self.appended_ns = self.flushed_ns = self.committed_ns = 0
        self.acknowledged: dict[int, tuple[int, tuple[int, ...]]] = {}
        self.waiters: list[asyncio.Future[None]] = []


class BatchBook:
    """The last batches this node wrote as leader, by log index."""

    def __init__(self, node: int, loop: asyncio.AbstractEventLoop) -> None:
        self._node = node
        self._loop = loop
        self._batches: list[BatchTimes] = []
        self._last_indexes: list[int] = []

    def opened(self, batch: BatchTimes) -> None:
        """A batch goes to disk. An index written again after an election replaces the old one."""
        while self._last_indexes and self._last_indexes[-1] >= batch.first_index:
            self._last_indexes.pop()
            self._batches.pop()
        self._batches.append(batch)
        self._last_indexes.append(batch.last_index)
        if len(self._batches) > 2 * BATCHES_MAX:
            del self._batches[:BATCHES_MAX]
            del self._last_indexes[:BATCHES_MAX]

    def forget_after(self, index: int) -> None:
        """Leadership is gone: what was not committed by now may be replaced by another leader."""
        while self._last_indexes and self._last_indexes[-1] > index:
            self._last_indexes.pop()
            self._batches.pop()

    def find(self, index: int) -> BatchTimes | None:
        """The batch that holds `index`, if it's still known."""
        at = bisect_left(self._last_indexes, index)
        if at == len(self._batches) or self._batches[at].first_index > index:
            return None
        return self._batches[at]

    def committed(self, index: int, now_ns: int) -> BatchTimes | None:
        """The batch of `index`, which is applied now."""
        batch = self.find(index)
        if batch is not None and batch.committed_ns == 0:
            batch.committed_ns = now_ns
        return batch

    def acknowledged(
        self, node: int, match_index: int, stages: tuple[int, ...], at_ns: int
    ) -> None:
        """A follower holds all up to `match_index`; its times are those of its last write."""
        at = bisect_left(self._last_indexes, match_index + 1) - 1
        while at >= 0 and node not in self._batches[at].acknowledged:
            batch = self._batches[at]
            batch.acknowledged[node] = (at_ns, stages)
            for waiter in batch.waiters:
                if not waiter.done():
                    waiter.set_result(None)
            batch.waiters.clear()
            at -= 1

    async def stages_of(self, index: int, peers: Sequence[int]) -> list[RemoteStage]:
        """Every node's stages for the write at `index`; what is missing after a second is left."""
        batch = self.find(index)
        if batch is None:
            return []
        give_up_s = self._loop.time() + LATE_S_MAX
        while not all(peer in batch.acknowledged for peer in peers):
            left_s = give_up_s - self._loop.time()
            if left_s <= 0:
                break
            waiter: asyncio.Future[None] = self._loop.create_future()
            batch.waiters.append(waiter)
            await asyncio.wait([waiter], timeout=left_s)
        return self._lay_out(batch)

    def _lay_out(self, batch: BatchTimes) -> list[RemoteStage]:
        node, batch_id = self._node, batch.batch_id
        found: list[RemoteStage] = []
        if batch.flushed_ns:
            found.append(
                RemoteStage(node, names.APPEND, batch.append_start_ns, batch.appended_ns, batch_id)
            )
            found.append(
                RemoteStage(node, names.FLUSH, batch.appended_ns, batch.flushed_ns, batch_id)
            )
        if batch.committed_ns > batch.flushed_ns:
            found.append(
                RemoteStage(node, names.QUORUM, batch.flushed_ns, batch.committed_ns, batch_id)
            )
        for peer, (at_ns, durations_us) in sorted(batch.acknowledged.items()):
            start_ns = at_ns - sum(durations_us) * 1000
            for stage, duration_us in zip(PEER_STAGES, durations_us, strict=False):
                end_ns = start_ns + duration_us * 1000
                found.append(RemoteStage(peer, stage, start_ns, end_ns, batch_id))
                start_ns = end_ns
        return found


class FollowerTimes:
    """How long this node took, as a follower, over its last write: what it tells its leader."""

    __slots__ = ("_arrival_ns", "last_us")

    def __init__(self) -> None:
        self.last_us: tuple[int, ...] = ()
        self._arrival_ns: tuple[int, int, int] | None = None

    def received(self, received_ns: int, decoded_ns: int, checked_ns: int) -> None:
        """Entries came and are sound. Of those that share a write, the first count."""
        if self._arrival_ns is None:
            self._arrival_ns = (received_ns, decoded_ns, checked_ns)

    def flushed(self, done: WriteDone) -> None:
        """They are on disk: received, checked, written (and waited before), flushed."""
        if self._arrival_ns is not None and done.append_start_ns >= self._arrival_ns[-1]:
            times_ns = (*self._arrival_ns, done.appended_ns, done.flushed_ns)
            self.last_us = tuple(
                max(0, end_ns - start_ns) // 1000 for start_ns, end_ns in pairwise(times_ns)
            )
            self._arrival_ns = None


class StageQuestions:
    """Asks whoever led a write for its stages, and answers other nodes that ask."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        book: BatchBook,
        others: Sequence[int],
        leads: Callable[[], bool],
        ask: Callable[[bulk.StagesAsk], bool],
        tell: Callable[[int, bulk.StagesReply], object],
    ) -> None:
        """`ask` sends to the leader, False if it can't; `tell` sends an answer to a node."""
        self._loop = loop
        self._book = book
        self._others = others
        self._leads = leads
        self._ask = ask
        self._tell = tell
        self._asked: dict[int, asyncio.Future[tuple[RemoteStage, ...]]] = {}
        self._last_id = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def open_count(self) -> int:
        """Questions of ours that wait for an answer."""
        return len(self._asked)

    async def stages_of(self, index: int) -> Sequence[RemoteStage]:
        """From our own book, or from the leader's."""
        if self._leads() or self._book.find(index) is not None:
            return await self._book.stages_of(index, self._others)
        self._last_id += 1
        request_id = self._last_id
        if not self._ask(bulk.StagesAsk(request_id, index)):
            return ()
        waiter: asyncio.Future[tuple[RemoteStage, ...]] = self._loop.create_future()
        self._asked[request_id] = waiter
        try:
            await asyncio.wait([waiter], timeout=ASK_S_MAX)
        finally:
            # Who asked us may have lost patience first, which is a cancellation here.
            del self._asked[request_id]
        return waiter.result() if waiter.done() else ()

    def answered(self, reply: bulk.StagesReply) -> None:
        """The leader's answer; nobody may wait for it any more."""
        waiter = self._asked.get(reply.request_id)
        if waiter is not None and not waiter.done():
            waiter.set_result(reply.stages)

    def asked(self, node: int, ask: bulk.StagesAsk) -> None:
        """Another node asks about a write that we led."""
        spawn(self._loop, self._tasks, self._answer(node, ask))

    async def _answer(self, node: int, ask: bulk.StagesAsk) -> None:
        stages = await self._book.stages_of(ask.index, self._others)
        self._tell(node, bulk.StagesReply(ask.request_id, tuple(stages)))
