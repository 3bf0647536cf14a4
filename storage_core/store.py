"""The node as its front end sees it: submit, wait for a read point, look, read.

Everything here is a translation between the front end's port and the engine; decisions are the
core's. An operation id is this process's random prefix and a counter: no two operations share
one, and a repeat by this node's own router carries the same.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from time import monotonic_ns
from typing import TYPE_CHECKING

from storage_core.barriers import Reader
from storage_core.catalog import codec
from storage_core.catalog.commands import Chunk, Command, Move, Outcome
from storage_core.errors import StoreError
from storage_core.pending import Submission
from storage_core.raft.messages import CHUNK, COMMAND, MOVE
from telemetry import names

if TYPE_CHECKING:
    from storage_core.cache.bodies import BodyCache
    from storage_core.catalog.view import CatalogView
    from storage_core.engine import Engine
    from storage_core.frontend.port import RemoteStage
    from storage_core.log.format import Extent
    from storage_core.log.reader import BodyReader
    from telemetry.tracing import StageClock


class NodeStore:
    """Implements `frontend.port.Store` over one engine."""

    def __init__(
        self, engine: Engine, *, reader: BodyReader, cache: BodyCache, view: CatalogView
    ) -> None:
        self.node = engine.node
        self._engine = engine
        self._reader = reader
        self._cache = cache
        self._view = view
        self._op_prefix = secrets.token_bytes(8)
        self._last_op = 0

    def submit_then(
        self,
        command: Command,
        body: bytes | memoryview,
        body_crc: int,
        *,
        clock: StageClock | None,
        deadline_us: int,
        on_done: Callable[[Outcome | StoreError], None],
    ) -> None:
        """See the port. `clock` is None for the node's own upkeep."""
        kind = COMMAND
        if type(command) is Chunk:
            kind = CHUNK
        elif type(command) is Move:
            kind = MOVE
        self._last_op += 1
        self._engine.pending.submit(
            Submission(
                kind=kind,
                op_id=self._op_prefix + self._last_op.to_bytes(8, "little"),
                meta=codec.encode(command),
                body=body if type(body) is bytes else bytes(body),
                body_crc=body_crc,
                deadline_us=deadline_us,
                clock=clock,
                on_done=on_done,
            ),
            monotonic_ns() // 1000,
        )

    async def submit(
        self,
        command: Command,
        body: bytes | memoryview,
        body_crc: int,
        *,
        clock: StageClock | None,
        deadline_us: int,
    ) -> Outcome:
        """See the port."""
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def on_done(result: Outcome | StoreError) -> None:
            if done.done():
                return
            if isinstance(result, StoreError):
                done.set_exception(result)
            else:
                done.set_result(result)

        self.submit_then(
            command, body, body_crc, clock=clock, deadline_us=deadline_us, on_done=on_done
        )
        return await done

    def precheck(self, command: Command) -> str:
        return self._engine.core.precheck(command, monotonic_ns() // 1000)

    def can_read_now(self) -> bool:
        engine = self._engine
        engine.reads_since_flush += 1
        return engine.core.can_read_now(monotonic_ns() // 1000)

    def read_barrier_then(
        self,
        *,
        clock: StageClock,
        deadline_us: int,
        on_ready: Callable[[StoreError | None], None],
    ) -> None:
        """See the port."""
        reader = Reader(clock=clock, deadline_us=deadline_us, on_ready=on_ready)
        self._engine.barriers.wait(reader, monotonic_ns() // 1000)
        self._engine.wake()

    async def read_barrier(self, *, clock: StageClock, deadline_us: int) -> None:
        """See the port."""
        if self.can_read_now():
            return
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def on_ready(error: StoreError | None) -> None:
            if ready.done():
                return
            if error is None:
                ready.set_result(None)
            else:
                ready.set_exception(error)

        self.read_barrier_then(clock=clock, deadline_us=deadline_us, on_ready=on_ready)
        await ready

    def view(self) -> CatalogView:
        return self._view

    def read_cached(self, extent: Extent) -> bytes | None:
        body = self._cache.get(extent.segment_seq, extent.offset)
        if body is None:
            body = self._reader.read_now(extent)
            if body is not None:
                self._cache.put(extent.segment_seq, extent.offset, body)
        return body

    async def read(self, extent: Extent, *, clock: StageClock) -> bytes:
        """See the port."""
        body = self.read_cached(extent)
        if body is None:
            body = await self._reader.read(extent)
            self._cache.put(extent.segment_seq, extent.offset, body)
        clock.stamp(names.DISK)
        return body

    async def replication_stages(self, index: int) -> Sequence[RemoteStage]:
        return await self._engine.stages.stages_of(index)

    def upload_id(self) -> bytes:
        return secrets.token_bytes(16)
