"""What a node does beside requests: flush its index, forget old log, clean segments, expire.

Each second a small step of each, off the loop where it waits for the disk, and in short slices
where it needs the loop. The order matters and
is one-way: the index is flushed up to an applied entry; a watermark says where recovery starts;
only when that watermark is on disk, and every voter holds what lies before it, may a segment that
no live body lies in be used again. The leader alone cleans: it re-appends live bodies of mostly
dead segments as entries, so that all replicas stay equal.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from math import inf
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, NamedTuple

from storage_core.catalog.commands import Command, Move
from storage_core.engine import die_of_disk
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

SUBMIT_US_MAX = 5_000_000
WALK_RECORDS_MAX = 512
"""Read and decoded at once on the upkeep thread, which keeps the loop from running meanwhile."""
WALKS_PER_ROUND_MAX = 16
SLICE_RECORDS = 64
"""Looked up in the catalog at once on the loop: about a millisecond."""
REST_S = 60.0
"""A segment that was read to its end in vain is not tried again for this long."""
log = logging.getLogger(__name__)


class Pace(NamedTuple):
    """How often each thing is done.

    A round of cleaning moves at most 4 MiB of live bodies: a few percent of a disk's bandwidth.
    """

    step_s: float = 1.0
    index_flush_records: int = 50_000
    index_flush_s: float = 20.0
    watermark_s: float = 2.0
    clean_s: float = 2.0
    housekeeping_s: float = 5.0


PACE = Pace()


class Upkeep:
    """The background work of one node. Runs as one task on the node's loop."""

    def __init__(
        self,
        engine: Engine,
        store: NodeStore,
        opened: Opened,
        reader: BodyReader,
        *,
        pace: Pace = PACE,
    ) -> None:
        self._engine = engine
        self._store = store
        self._opened = opened
        self._reader = reader
        self._pace = pace
        self._log = engine.core.log
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="upkeep")
        applied = opened.catalog.applied()
        self._flushed_index = applied.index if applied is not None else 0
        self._watermark = opened.home.watermark
        self._last: dict[str, float] = {}
        self._victim: tuple[int, Position] | None = None
        self._victim_moved_count = 0
        self._rests_until_s: dict[int, float] = {}

    async def run(self) -> None:
        """Until cancelled. A failing disk ends the process, anything else is a bug and shows."""
        while True:
            await asyncio.sleep(self._pace.step_s)
            try:
                await self.step()
            except (OSError, FatalDisk) as error:
                die_of_disk(error)

    def close(self) -> None:
        """Wait for what its thread has begun. Cancel `run` before; call it off the loop."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def step(self) -> None:
        """A little of everything that is due."""
        loop = asyncio.get_running_loop()
        pace, now_s = self._pace, loop.time()
        core = self._engine.core
        behind = core.applied_index - self._flushed_index
        if behind >= pace.index_flush_records or (
            behind and self._is_due("flush", now_s, pace.index_flush_s)
        ):
            applied_index = core.applied_index
            await loop.run_in_executor(self._executor, self._opened.index.flush)
            self._flushed_index = applied_index
        if self._is_due("watermark", now_s, pace.watermark_s):
            self._compact_and_mark()
        await self._release(loop)
        if self._opened.pool.ready_count < self._opened.pool.ready_count_max:
            await loop.run_in_executor(self._executor, self._opened.pool.zero_step)
        if self._engine.leader() != self._engine.node:
            self._victim = None
            return
        if self._is_due("clean", now_s, pace.clean_s):
            await self._clean(loop)
        if self._is_due("housekeeping", now_s, pace.housekeeping_s):
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
        # Segments before the durable start, by place: the log in memory may begin later by now,
        # and under load it always does.
        facts = [
            fact for fact in self._facts() if fact.segment_seq < durable.start.position.segment_seq
        ]
        limit_index = min(self._flushed_index, self._engine.core.replica.safe_index)
        start_index = self._log.table.start.index
        for segment_seq in gc.releasable(facts, limit_index=limit_index, start_index=start_index):
            if self._reader.is_held(segment_seq):
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
            segment_seq = self._choose_victim(loop.time())
            if segment_seq is None:
                return
            self._victim = (segment_seq, Position(segment_seq, 0))
            self._victim_moved_count = 0
        room_bytes = gc.MOVE_BYTES_MAX
        for _ in range(WALKS_PER_ROUND_MAX):
            segment_seq, position = self._victim
            records = await loop.run_in_executor(self._executor, self._walk, segment_seq, position)
            for first in range(0, len(records), SLICE_RECORDS):
                part = records[first : first + SLICE_RECORDS]
                moves, following = gc.plan_moves(part, self._opened.catalog.is_live, room_bytes)
                for command, extent in moves:
                    if not await self._move(command, extent):
                        return
                    room_bytes -= extent.length
                    self._victim_moved_count += 1
                self._victim = (segment_seq, following or part[-1][0].end.position)
                if following is not None or room_bytes <= 0:
                    return
                await asyncio.sleep(0)
            if len(records) < WALK_RECORDS_MAX:
                self._victim = None
                if not self._victim_moved_count:
                    # What lives there has no name yet, or none any more: garbage to be reaped.
                    self._rests_until_s[segment_seq] = loop.time() + REST_S
                return

    def _choose_victim(self, now_s: float) -> int | None:
        facts = self._facts()
        present = {fact.segment_seq for fact in facts}
        self._rests_until_s = {
            segment_seq: until_s
            for segment_seq, until_s in self._rests_until_s.items()
            if until_s > now_s and segment_seq in present
        }
        victims = gc.choose_victims(
            [fact for fact in facts if fact.segment_seq not in self._rests_until_s],
            limit_index=self._limit_index(),
            start_index=self._log.table.start.index,
            open_segment_seq=self._log.table.end.position.segment_seq,
            segment_bytes=self._log.segment_bytes,
        )
        return victims[0] if victims else None

    def _walk(self, segment_seq: int, position: Position) -> list[tuple[RecordHeader, bytes]]:
        """On the upkeep thread: some headers and metas from `position` on."""
        records = walk_segment(
            segment_seq=segment_seq,
            offset=position.offset,
            read=self._opened.pool.read,
            identity=self._log.identity,
            crc64=crc64,
            segment_bytes=self._log.segment_bytes,
        )
        return list(islice(records, WALK_RECORDS_MAX))

    async def _move(self, command: Move, extent: Extent) -> bool:
        try:
            body = await self._reader.read(extent)
        except DamagedBody:
            log.exception("cleaning met a damaged body; its segment stays")
            self._victim = None
            self._rests_until_s[extent.segment_seq] = inf
            return False
        return await self._submit(command, body, extent.crc)

    async def _keep_house(self) -> None:
        command = self._opened.catalog.housekeeping(time_ns() // 1_000_000)
        if command is not None and await self._submit(command, b"", 0):
            # There may be more of it: go on with the next step.
            self._last.pop("housekeeping", None)

    async def _submit(self, command: Command, body: bytes, body_crc: int) -> bool:
        deadline_us = monotonic_ns() // 1000 + SUBMIT_US_MAX
        try:
            await self._store.submit(command, body, body_crc, clock=None, deadline_us=deadline_us)
        except StoreError as error:
            log.info("upkeep waits", extra={"reason": str(error)})
            return False
        return True
