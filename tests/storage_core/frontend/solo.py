"""A store of one node in memory: the front end's port over a real catalog.

Everything but the disk and the peers is real: commands are encoded, decoded and applied by the
catalog in batches, bodies are addressed by the extents that the catalog hands out, and outcomes
come back through the event loop. `held` stands for a quorum that doesn't answer, `behind` for a
follower, `cold` for bodies that memory doesn't have.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import NamedTuple

from storage_core.catalog import codec
from storage_core.catalog.commands import Chunk, Command, CreateAccount, Outcome
from storage_core.catalog.machine import Catalog
from storage_core.catalog.view import CatalogView
from storage_core.errors import DamagedBody, StoreError
from storage_core.frontend.port import RemoteStage
from storage_core.index.memory import MemoryIndex
from storage_core.log.format import (
    HEADER_BYTES,
    SEGMENT_BYTES,
    Extent,
    LogPoint,
    Position,
    record_size,
)
from storage_core.raft.messages import CHUNK, COMMAND, Entry
from telemetry.tracing import StageClock

ACCOUNT = "devstoreaccount1"
OTHER_ACCOUNT = "team"
EMULATOR_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
TERM = 1

Done = Callable[[Outcome | StoreError], None]


class Waiting(NamedTuple):
    command: Command
    body: bytes
    body_crc: int
    on_done: Done


class SoloStore:
    """One node, one term, no disk."""

    node = 0

    def __init__(self) -> None:
        index = MemoryIndex()
        self.catalog = Catalog(index)
        self._view = self.catalog.view()
        self.bodies: dict[tuple[int, int], bytes] = {}
        self.commands: list[Command] = []
        self.waiting: list[Waiting] = []
        self.in_flight_bytes_max = 0
        self.held = False
        self.behind = False
        self.cold = False
        self.error: StoreError | None = None
        self._scheduled = False
        self._in_flight_bytes = 0
        self._index = 0
        self._at = Position(0, 0)
        for account in (ACCOUNT, OTHER_ACCOUNT):
            self._apply([Waiting(CreateAccount(account, (KEYS[account],)), b"", 0, _ignore)])

    # -- the port ---------------------------------------------------------------------------

    def submit_then(
        self,
        command: Command,
        body: bytes | memoryview,
        body_crc: int,
        *,
        clock: StageClock,
        deadline_us: int,
        on_done: Done,
    ) -> None:
        self.waiting.append(Waiting(command, bytes(body), body_crc, on_done))
        self._in_flight_bytes += len(body)
        self.in_flight_bytes_max = max(self.in_flight_bytes_max, self._in_flight_bytes)
        self._schedule()

    async def submit(
        self,
        command: Command,
        body: bytes | memoryview,
        body_crc: int,
        *,
        clock: StageClock,
        deadline_us: int,
    ) -> Outcome:
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def on_done(result: Outcome | StoreError) -> None:
            if done.cancelled():
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
        return self.catalog.evaluate(command)

    def can_read_now(self) -> bool:
        return not self.behind

    def read_barrier_then(
        self,
        *,
        clock: StageClock,
        deadline_us: int,
        on_ready: Callable[[StoreError | None], None],
    ) -> None:
        asyncio.get_running_loop().call_soon(on_ready, self.error)

    async def read_barrier(self, *, clock: StageClock, deadline_us: int) -> None:
        if self.error is not None:
            raise self.error

    def view(self) -> CatalogView:
        return self._view

    def read_cached(self, extent: Extent) -> bytes | None:
        return None if self.cold else self.bodies.get((extent.segment_seq, extent.offset))

    async def read(self, extent: Extent, *, clock: StageClock) -> bytes:
        await asyncio.sleep(0)
        body = self.bodies.get((extent.segment_seq, extent.offset))
        if body is None:
            raise DamagedBody(extent.segment_seq, extent.offset)
        return body

    async def replication_stages(self, index: int) -> Sequence[RemoteStage]:
        return ()

    def upload_id(self) -> bytes:
        return secrets.token_bytes(16)

    # -- for tests --------------------------------------------------------------------------

    def release(self) -> None:
        """The quorum answers again."""
        self.held = False
        self._schedule()

    def stored_bytes(self) -> int:
        """What the catalog thinks is alive, bodies of unfinished uploads included."""
        return sum(self.catalog.segments().values())

    # -- inner ------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if self.waiting and not self._scheduled and not self.held:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._commit)

    def _commit(self) -> None:
        self._scheduled = False
        if self.held:
            return
        batch, self.waiting = self.waiting, []
        self._in_flight_bytes = 0
        if self.error is not None:
            for waiting in batch:
                waiting.on_done(self.error)
        elif batch:
            for waiting, outcome in zip(batch, self._apply(batch), strict=True):
                waiting.on_done(outcome)

    def _apply(self, batch: Sequence[Waiting]) -> list[Outcome]:
        entries = []
        for waiting in batch:
            self.commands.append(waiting.command)
            meta = codec.encode(waiting.command)
            size = record_size(len(meta), len(waiting.body))
            if self._at.offset + size > SEGMENT_BYTES:
                self._at = Position(self._at.segment_seq + 1, 0)
            self._index += 1
            entry = Entry(
                TERM,
                self._index,
                CHUNK if isinstance(waiting.command, Chunk) else COMMAND,
                time.time_ns() // 1_000_000,
                self._index.to_bytes(16, "little"),
                meta,
                waiting.body,
                waiting.body_crc,
            )
            entries.append((entry, self._at, len(meta)))
            if waiting.body:
                offset = self._at.offset + HEADER_BYTES + len(meta)
                self.bodies[self._at.segment_seq, offset] = waiting.body
            self._at = Position(self._at.segment_seq, self._at.offset + size)
        return self.catalog.apply(entries, LogPoint(self._index, TERM, self._at, 0))


def _ignore(result: Outcome | StoreError) -> None:
    assert isinstance(result, Outcome), result


KEYS = {
    ACCOUNT: b64decode(EMULATOR_KEY),
    OTHER_ACCOUNT: b"the key of another account, 32 b",
}
