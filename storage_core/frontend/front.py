"""The front end of a node: what all of its connections share.

A node makes one FrontEnd over its store and as many listeners from it as it has doors. Deadlines
are kept by one sweep over all connections instead of a timer each, and the time of day is read
into strings once a second; at 25,000 requests a second both would show.

Read next: `http` for a connection, `exchange` for a request, docs/guide/blob-api.md for the whole.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, time_ns
from typing import TYPE_CHECKING

from storage_core.frontend.auth import Authenticator
from storage_core.frontend.body import Budget
from storage_core.frontend.headers import http_date
from storage_core.frontend.http import Connection
from storage_core.frontend.limits import Limits
from storage_core.frontend.throttle import Throttle

if TYPE_CHECKING:
    from storage_core.frontend.port import Store
    from telemetry.tracing import Recorder

log = logging.getLogger(__name__)


def _wall_ms() -> int:
    return time_ns() // 1_000_000


class FrontEnd:
    """Speaks the Blob API for one store. Owned by one event loop."""

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        limits: Limits | None = None,
        *,
        account_limits: Mapping[str, int] | None = None,
        wall_ms: Callable[[], int] = _wall_ms,
    ) -> None:
        self.store = store
        self.limits = limits = limits or Limits()
        self.finish = recorder.finish
        self.wall_ms = wall_ms
        self.budget = Budget(limits.unreplicated_bytes_max)
        self.authenticator = Authenticator()
        self.throttle = Throttle({} if account_limits is None else account_limits)
        self.request_us = int(limits.request_s * 1e6)
        # One thread: hashing keeps its order, and can't take the loop's core from it twice.
        self.hashing = ThreadPoolExecutor(1, "hashing")
        self.connections: set[Connection] = set()
        self.draining = False
        # A coarse clock, moved on by the sweep, for what only needs to be about right.
        self.now_s = monotonic()
        self._sweep_s = min(1.0, limits.header_s / 4, limits.body_idle_s / 4, limits.linger_s / 4)
        self._sweep: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty: asyncio.Event | None = None
        self._request_prefix = "%s-%04x-4000-8000-" % (secrets.token_hex(4), store.node)
        self._request_count = 0
        self._date = ""
        self._date_s = 0

    def protocol_factory(
        self, *, leaving: Callable[[], bool], loopback_only: bool
    ) -> Callable[[], Connection]:
        """For `loop.create_server` or `connect_accepted_socket`.

        While `leaving()` is true every answer closes its connection. With `loopback_only` a peer
        from elsewhere is cut off without an answer.
        """

        def make() -> Connection:
            return Connection(self, leaving, loopback_only=loopback_only)

        return make

    async def drain(self, seconds: float) -> None:
        """Close idle connections now and busy ones after their answer; cut the rest off."""
        self.draining = True
        self._empty = asyncio.Event()
        for connection in tuple(self.connections):
            connection.close_if_idle()
        if self.connections:
            try:
                async with asyncio.timeout(seconds):
                    await self._empty.wait()
            except TimeoutError:
                log.warning("requests cut off", extra={"count": len(self.connections)})
        for connection in tuple(self.connections):
            connection.abort()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        self.hashing.shutdown(wait=False, cancel_futures=True)

    # -- for connections and exchanges --------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        self.connections.add(connection)
        if self._sweep is None:
            self.now_s = monotonic()
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(self._sweep_s, self._sweep_all)

    def lost(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if self._empty is not None and not self.connections:
            self._empty.set()

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """A task that isn't forgotten by the garbage collector, nor by `drain`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def next_request_id(self) -> str:
        self._request_count += 1
        return "%s%012x" % (self._request_prefix, self._request_count)

    def date(self) -> str:
        """The Date header's value."""
        now_s = self.wall_ms() // 1000
        if now_s != self._date_s:
            self._date_s = now_s
            self._date = http_date(now_s)
        return self._date

    def _sweep_all(self) -> None:
        self.now_s = monotonic()
        self._sweep = None
        for connection in tuple(self.connections):
            connection.sweep(self.now_s)
        if self.connections:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(self._sweep_s, self._sweep_all)
