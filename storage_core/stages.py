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
from collections.abc import Sequence

from storage_core.frontend.port import RemoteStage
from telemetry import names

BATCHES_MAX = 4096
"""About ten seconds at full load."""
LATE_S_MAX = 1.0
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
        self.flushed: BatchTimes | None = None

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

    def find(self, index: int) -> BatchTimes | None:
        """The batch that holds `index`, if it's still known."""
        at = bisect_left(self._last_indexes, index)
        if at == len(self._batches) or self._batches[at].first_index > index:
            return None
        return self._batches[at]

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
