"""Who leads, seen from outside a few times a second, for the lane under the operation strip.

It also tells when the fleet is worse off than the drill allows: then the drill ends early.
"""

from __future__ import annotations

import asyncio
import time

from runbooks.drills.folder import EventWriter
from storage_core.client import FleetClient, NodeStatus

LOOK_S = 0.25
ANSWER_S = 0.4
QUORUM_GONE_S = 8.0
"""Without an answer from a quorum for this long, something other than the fault is wrong."""


class Sampler:
    """Notes every change of leader. `quorum_gone` says whether a drill must stop."""

    def __init__(self, client: FleetClient, journal: EventWriter, nodes: int) -> None:
        self._client = client
        self._journal = journal
        self._quorum = nodes // 2 + 1
        self._leader: tuple[int, int] | None = None
        self._enough_s = time.monotonic()

    @property
    def quorum_gone(self) -> bool:
        return time.monotonic() - self._enough_s > QUORUM_GONE_S

    async def run(self, stopped: asyncio.Event) -> None:
        """Look until told to stop."""
        while not stopped.is_set():
            await asyncio.to_thread(self._look)
            await asyncio.sleep(LOOK_S)

    def _look(self) -> None:
        statuses = self._client.statuses(ANSWER_S).values()
        up = [status for status in statuses if isinstance(status, NodeStatus)]
        if len(up) >= self._quorum:
            self._enough_s = time.monotonic()
        leaders = [(status.term, status.node) for status in up if status.role == "leader"]
        newest = max(leaders, default=None)
        if newest is not None and newest != self._leader:
            self._leader = newest
            self._journal.note("leader", node=newest[1], term=newest[0])
