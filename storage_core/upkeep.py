"""What a node does beside requests: flush its index, forget old log, clean segments, expire.

Each second a small step of each, off the loop where it waits for the disk. The order matters and
is one-way: the index is flushed up to an applied entry; a watermark says where recovery starts;
only when that watermark is on disk, and every voter holds what lies before it, may a segment that
no live body lies in be used again. The leader alone cleans: it re-appends live bodies of mostly
dead segments as entries, so that all replicas stay equal.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING

from storage_core.catalog.commands import Command, Move
from storage_core.errors import DamagedBody, FatalDisk, StoreError
from storage_core.io.checksum import crc64
from storage_core.log import gc
from storage_core.log.format import Extent, Position, RecordHeader
from storage_core.log.recovery import walk_segment
from storage_core.log.slots import Watermark

if TYPE_CHECKING:
    from storage_core.engine import Engine
    from storage_core.log.reader import BodyReader
    from storage_core.startup import Opened
    from storage_core.store import NodeStore

STEP_S = 1.0
INDEX_FLUSH_RECORDS = 50_000
INDEX_FLUSH_S = 20.0
WATERMARK_S = 2.0
CLEAN_S = 2.0
"""At most 4 MiB of live bodies are moved per round: a few percent of a disk's bandwidth."""
HOUSEKEEPING_S = 5.0
SUBMIT_US_MAX = 5_000_000
log = logging.getLogger(__name__)


class Upkeep:
    """The background work of one node. Runs as one task on the node's loop."""

    def __init__(
        self, engine: Engine, store: NodeStore, opened: Opened, reader: BodyReader
    ) -> None:
        self._engine = engine
        self._store = store
        self._opened = opened
        self._reader = reader
        self._log = engine.core.log
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="upkeep")
        applied = opened.catalog.applied()
        self._flushed_index = applied.index if applied is not None else 0
        self._watermark = opened.home.watermark
        self._last: dict[str, float] = {}
        self._victim: tuple[int, Position] | None = None

    async def run(self) -> None:
        """Until cancelled. A failing disk ends the process, anything else is a bug and shows."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(STEP_S)
            try:
                await self._step(loop)
            except (OSError, FatalDisk) as error:
                self._engine.disk_failed(error)

    async def _step(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        core = self._engine.core
        behind = core.applied_index - self._flushed_index
        if behind >= INDEX_FLUSH_RECORDS or (
            behind and self._is_due("flush", now_s, INDEX_FLUSH_S)
        ):
            applied_index = core.applied_index
            await loop.run_in_executor(self._executor, self._opened.index.flush)
            self._flushed_index = applied_index
        if self._is_due("watermark", now_s, WATERMARK_S):
            self._compact_and_mark()
        await self._release(loop)
        if self._opened.pool.ready_count < self._opened.pool.ready_count_max:
            await loop.run_in_executor(self._executor, self._opened.pool.zero_step)
        if self._engine.leader() != self._engine.node:
            self._victim = None
            return
        if self._is_due("clean", now_s, CLEAN_S):
            await self._clean(loop)
        if self._is_due("housekeeping", now_s, HOUSEKEEPING_S):
            await self._keep_house()

    def _is_due(self, what: str, now_s: float, every_s: float) -> bool:
        if now_s - self._last.get(what, 0.0) < every_s:
            return False
        self._last[what] = now_s
        return True

    def _limit_index(self) -> int:
        """Nobody needs records up to here to recover or to catch up."""
        replica = self._engine.core.replica
        return min(self._flushed_index, replica.safe_index, self._watermark.durable.index)

    def _compact_and_mark(self) -> None:
        """Forget old entries in memory, and let the next write carry a new watermark."""
        to_index = gc.compact_to(
            self._log.table, limit_index=self._limit_index(), retain_segments=gc.RETAIN_SEGMENTS
        )
        if to_index > self._log.table.start.index:
            self._log.compact(to_index)
        durable_index = self._engine.core.applied_index
        if durable_index <= self._watermark.durable.index or durable_index < self._log.first_index:
            return
        self._watermark = Watermark(
            self._watermark.sequence + 1,
            self._log.point_at(durable_index),
            self._log.table.start,
        )
        self._engine.next_watermark = self._watermark

    async def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        """Recycle segments that nobody needs any more."""
        durable = self._engine.durable_watermark
        if durable is None:
            return
        facts = self._facts()
        limit_index = min(self._flushed_index, self._engine.core.replica.safe_index)
        found = gc.releasable(facts, limit_index=limit_index, start_index=durable.start.index)
        for segment_seq in found:
            if self._reader.is_held(segment_seq):
                continue
            if segment_seq >= durable.start.position.segment_seq:
                continue
            log.info("segment recycled", extra={"segment": segment_seq})
            await loop.run_in_executor(
                self._executor, self._opened.pool.release, segment_seq, durable
            )

    def _facts(self) -> list[gc.SegmentFact]:
        live_bytes = self._opened.catalog.segments()
        return gc.segment_facts(self._opened.pool.live(), live_bytes, self._log.table)

    async def _clean(self, loop: asyncio.AbstractEventLoop) -> None:
        """One round: move some live bodies out of the segment that frees most."""
        if self._victim is None:
            victims = gc.choose_victims(
                self._facts(),
                limit_index=self._limit_index(),
                start_index=self._log.table.start.index,
                open_segment_seq=self._log.table.end.position.segment_seq,
                segment_bytes=self._log.segment_bytes,
            )
            if not victims:
                return
            self._victim = (victims[0], Position(victims[0], 0))
        segment_seq, position = self._victim
        records = await loop.run_in_executor(self._executor, self._walk, segment_seq, position)
        moves, following = gc.plan_moves(records, self._opened.catalog.is_live)
        for command, extent in moves:
            if not await self._move(command, extent):
                return
        self._victim = None if following is None else (segment_seq, following)

    def _walk(self, segment_seq: int, position: Position) -> list[tuple[RecordHeader, bytes]]:
        """On the upkeep thread: headers and metas from `position` to the segment's end."""
        return list(
            walk_segment(
                segment_seq=segment_seq,
                offset=position.offset,
                read=self._opened.pool.read,
                identity=self._log.identity,
                crc64=crc64,
                segment_bytes=self._log.segment_bytes,
            )
        )

    async def _move(self, command: Move, extent: Extent) -> bool:
        try:
            body = await self._reader.read(extent)
        except DamagedBody:
            log.exception("cleaning met a damaged body; its segment stays")
            return False
        return await self._submit(command, body, extent.crc)

    async def _keep_house(self) -> None:
        command = self._opened.catalog.housekeeping(time_ns() // 1_000_000)
        if command is not None:
            await self._submit(command, b"", 0)

    async def _submit(self, command: Command, body: bytes, body_crc: int) -> bool:
        deadline_us = monotonic_ns() // 1000 + SUBMIT_US_MAX
        try:
            await self._store.submit(command, body, body_crc, clock=None, deadline_us=deadline_us)
        except StoreError as error:
            log.info("upkeep waits", extra={"reason": str(error)})
            return False
        return True
