"""The shell around the core: one loop that obeys it.

Events (a frame from a peer, a request, a tick, a finished write) are told to the core as they
come; at the end of the loop's tick `_pump` takes what the core wants done and does it: messages
first, because followers should start before our own flush, then the write, then the answers. So
whatever arrived in one tick shares one batch, one frame to each follower and one flush.

A batch of small writes is flushed right here: two thread hops, and the fight for Python's lock
that they bring, cost more than the flush. Where somebody reads, the disk is slow, or bodies are
large, the log thread does it, so that nobody else waits for the disk.

What always holds: an error of the disk ends the process (exit 70) before anything is acknowledged;
an error of one waiter or one peer touches nobody else.

Read next: `core` for what it obeys, `pending` and `barriers` for who waits, `peers` for the wires.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, NoReturn

from storage_core import bulk
from storage_core.barriers import Barriers
from storage_core.config import EXIT_DISK_FAILED
from storage_core.errors import CorruptLog, FatalDisk
from storage_core.io.checksum import crc64
from storage_core.log.format import HEADER_BYTES
from storage_core.log.writer import LogThread, LogWork, LogWriter, WriteDone
from storage_core.peers import BULK, LOG, Events
from storage_core.pending import Origin, Pending, Submission
from storage_core.raft import wire
from storage_core.raft.messages import COMMAND, Append, AppendReply, Outgoing
from storage_core.raft.ready import LEADER
from storage_core.stages import BatchBook, BatchTimes, FollowerTimes, StageQuestions

if TYPE_CHECKING:
    from storage_core.cache.bodies import BodyCache
    from storage_core.core import Applied, Core, Effects, Write
    from storage_core.log.entries import LogWrite
    from storage_core.log.slots import Watermark
    from storage_core.peers import Peers
    from storage_core.status import RecentTimes

TICK_S = 0.01
SWEEP_EVERY_TICKS = 5
INLINE_BYTES_MAX = 320 * 1024
"""A whole batch of 64 small writes of 4 KiB; chunks of large bodies go to the log thread."""
INLINE_FLUSH_NS_MAX = 400_000
INLINE_READS_MAX = 2
PUMP_NS_MAX = 4_000_000
log = logging.getLogger(__name__)


class Engine:
    """The loop of one node. `store.NodeStore` is its face to the front end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        node: int,
        core: Core,
        writer: LogWriter,
        cache: BodyCache,
        flush_times: RecentTimes,
    ) -> None:
        self.node = node
        self.core = core
        self.peers: Peers | None = None
        self.on_role: Callable[[bool], None] | None = None
        self.next_watermark: Watermark | None = None  # goes to disk with the next write
        self.durable_watermark: Watermark | None = None
        self._watermarks: dict[int, Watermark] = {}
        self._loop = loop
        self._writer = LogThread(
            writer,
            post=loop.call_soon_threadsafe,
            completed=self._written_elsewhere,
            failed=die_of_disk,
        )
        self._cache = cache
        self._flush_times = flush_times
        self.pending = Pending(loop, self)
        self.barriers = Barriers(loop)
        self.book = BatchBook(node, loop)
        self.stages = StageQuestions(
            loop,
            book=self.book,
            others=tuple(core.replica.progress),
            leads=lambda: self.leader() == self.node,
            ask=self._ask_leader,
            tell=self.bulk_send,
        )
        self._batches: dict[int, BatchTimes] = {}
        self._pump_scheduled = False
        self._flushed_here = False  # in this very pump
        self.tick_count = 0
        self.reads_since_flush = 0
        self._flush_ns_mean = 150_000.0
        self._as_follower = FollowerTimes()
        self._known_leader: tuple[int | None, int] = (None, 0)
        self._stopped = False

    # -- life -------------------------------------------------------------------------------

    def peer_events(self) -> Events:
        """What the peers' connections tell us."""
        return Events(self._on_frame, self._on_open, self._on_closed, self._on_dead)

    def start(self) -> None:
        self._loop.call_later(TICK_S, self._tick)

    def stop(self) -> None:
        """Finish what the disk was given and do nothing more; who still waits is not answered."""
        self._stopped = True
        self._writer.close()

    def _tick(self) -> None:
        if self._stopped:
            return
        self._loop.call_later(TICK_S, self._tick)
        now_us = monotonic_ns() // 1000
        self.core.tick(now_us)
        self.tick_count += 1
        if self.tick_count % SWEEP_EVERY_TICKS == 0:
            self.pending.sweep(now_us)
            self.barriers.sweep(now_us)
        self._pump()

    def wake(self) -> None:
        """Pump once at the end of this loop tick."""
        if not self._pump_scheduled:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = self._flushed_here = False
        if self._stopped:
            return
        try:
            self._do_all()
        except (AssertionError, CorruptLog, FatalDisk):
            raise
        except Exception as error:
            # Effects that were taken and not obeyed are lost: the core would wait for ever.
            raise AssertionError("the core was not obeyed") from error

    def _do_all(self) -> None:
        now_us = monotonic_ns() // 1000
        context = self.barriers.next_context(now_us)
        if context is not None:
            self.core.read(context, now_us)
        give_way_ns = now_us * 1000 + PUMP_NS_MAX
        now_ns = 0
        while now_ns < give_way_ns:
            effects = self.core.take(monotonic_ns() // 1000)
            flushed = self._obey(effects)
            # A flush right here lets go what waited for it; nothing else would wake us for that.
            if not (effects.more or flushed):
                return
            now_ns = monotonic_ns()
        self.wake()

    def _obey(self, effects: Effects) -> bool:
        """True if a write was flushed in passing."""
        now_ns = monotonic_ns()
        if effects.lost_leadership:
            self.book.forget_after(self.core.replica.commit_index)
        if effects.messages:
            self._send(effects.messages)
        flushed = effects.write is not None and self._write(effects.write, now_ns)
        self._remember(effects.applied)
        now_us = now_ns // 1000
        for ticket, outcome in effects.settled:
            self.pending.settled(ticket, outcome, self.book.committed(outcome.index, now_ns))
        for ticket, outcome_known in effects.lost:
            self.pending.lost(ticket, outcome_known, now_us)
        for context in effects.reads_ready:
            self.barriers.ready(context)
        for context in effects.reads_failed:
            self.barriers.failed(context)
        replica = self.core.replica
        known = (replica.leader, replica.term)
        if known != self._known_leader:
            self._leader_changed(known, now_us)
        return flushed

    def _leader_changed(self, known: tuple[int | None, int], now_us: int) -> None:
        was_here = self._known_leader[0] == self.node
        self._known_leader = known
        log.info("leader known", extra={"leader": known[0], "term": known[1]})
        if self.on_role is not None and was_here != (known[0] == self.node):
            self.on_role(known[0] == self.node)
        if known[0] is not None:
            self.pending.leader_changed(now_us)

    def _remember(self, applied: Sequence[Applied]) -> None:
        """Bodies that may be read next; chunks of large ones would drive the others out."""
        for entry, position, meta_bytes in applied:
            if entry.kind == COMMAND and entry.body:
                offset = position.offset + HEADER_BYTES + meta_bytes
                self._cache.put(position.segment_seq, offset, entry.body)

    # -- writes to disk ---------------------------------------------------------------------

    def _write(self, write: Write, now_ns: int) -> bool:
        """True if it is on disk already."""
        if write.log is not None and self.core.replica.role == LEADER and write.log.record_count:
            batch = BatchTimes(
                batch_id=write.write_id,
                first_index=write.log.first_index,
                last_index=write.log.last_index,
                taken_ns=now_ns,
            )
            self._batches[write.write_id] = batch
            self.book.opened(batch)
        watermark, self.next_watermark = self.next_watermark, None
        if watermark is not None:
            self._watermarks[write.write_id] = watermark
        work = LogWork(write.write_id, write.hard_state, write.log, watermark)
        self._flushed_here = self._may_flush_here(write)
        if self._flushed_here:
            try:
                self._flushed(self._writer.write_inline(work))
            except FatalDisk as error:
                die_of_disk(error)
        else:
            self._writer.submit(work)
        self.reads_since_flush = 0
        return self._flushed_here

    def _may_flush_here(self, write: Write) -> bool:
        return (
            self._writer.is_idle
            and not self._flushed_here
            and self.core.writes_in_flight == 1
            and (write.log is None or _is_quick(write.log))
            and self._flush_ns_mean < INLINE_FLUSH_NS_MAX
            and self.reads_since_flush <= INLINE_READS_MAX
        )

    def _written_elsewhere(self, dones: Sequence[WriteDone]) -> None:
        for done in dones:
            self._flushed(done)
        self._pump()

    def _flushed(self, done: WriteDone) -> None:
        flush_ns = done.flushed_ns - done.appended_ns
        self._flush_ns_mean += (flush_ns - self._flush_ns_mean) / 8
        self._flush_times.record(flush_ns)
        batch = self._batches.pop(done.write_id, None)
        if batch is not None:
            batch.append_start_ns = done.append_start_ns
            batch.appended_ns, batch.flushed_ns = done.appended_ns, done.flushed_ns
        else:
            self._as_follower.flushed(done)
        self.core.write_flushed(done.write_id)
        watermark = self._watermarks.pop(done.write_id, None)
        if watermark is not None:
            self.durable_watermark = watermark

    # -- peers ------------------------------------------------------------------------------

    def _send(self, messages: Sequence[Outgoing]) -> None:
        """All frames for one peer in one call."""
        assert self.peers is not None or not messages
        for peer, buffers in wire.frames(messages, self._as_follower.last_us).items():
            sock = self.peers.socket_of(LOG, peer) if self.peers else None
            if sock is not None:
                sock.send(buffers)

    def _on_frame(self, kind: int, peer: int, frame: memoryview) -> None:
        now_ns = monotonic_ns()
        if kind == BULK:
            self._on_bulk(peer, bulk.decode(frame), now_ns // 1000)
            return
        message = wire.decode(frame)
        if message.sender != peer:
            raise ValueError(f"node {peer} speaks as node {message.sender}")
        if type(message) is Append and message.entries:
            self._verify(message, now_ns)
        if type(message) is AppendReply:
            if message.success and message.stages:
                self.book.acknowledged(peer, message.match_index, message.stages, now_ns)
        try:
            self.core.receive(message, monotonic_ns() // 1000)
        except Exception as error:
            # Half a step was taken: this node is wrong, not the wire.
            raise AssertionError(f"{type(message).__name__} was not understood") from error
        self.wake()

    def _verify(self, message: Append, received_ns: int) -> None:
        """A body that the wire damaged must not become a record. ValueError closes the wire."""
        decoded_ns = monotonic_ns()
        for entry in message.entries:
            if crc64(entry.body) != entry.body_crc:
                raise ValueError(f"body of entry {entry.index} arrived damaged")
        self._as_follower.received(received_ns, decoded_ns, monotonic_ns())

    def _on_bulk(self, peer: int, message: bulk.BulkMessage, now_us: int) -> None:
        if isinstance(message, bulk.Submit):
            self._accept(message, peer, now_us)
        elif isinstance(message, bulk.Reply):
            self.pending.replied(message, now_us)
        elif isinstance(message, bulk.StagesAsk):
            self.stages.asked(peer, message)
        else:
            self.stages.answered(message)

    def _on_open(self, kind: int, peer: int) -> None:
        now_us = monotonic_ns() // 1000
        log.info("peer connected", extra={"peer": peer, "connection": kind})
        if kind == LOG:
            self.core.replica.peer_restarted(peer)
            self.wake()
        elif self.leader() == peer:
            self.pending.leader_changed(now_us)

    def _on_closed(self, kind: int, peer: int) -> None:
        now_us = monotonic_ns() // 1000
        log.warning("peer disconnected", extra={"peer": peer, "connection": kind})
        if kind == LOG:
            self.core.replica.peer_lost(peer, now_us)
        else:
            self.pending.disconnected(peer, now_us)
        self.wake()

    def _on_dead(self, peer: int) -> None:
        self.core.replica.peer_proven_dead(peer, monotonic_ns() // 1000)
        self.wake()

    # -- what `pending` asks ----------------------------------------------------------------

    def leader(self) -> int | None:
        """Who leads as far as this node knows."""
        return self.core.replica.leader

    def propose(self, submission: Submission) -> int:
        """Into our own pipeline. Raises `NotLeader`, `Overloaded`."""
        ticket = self.core.propose(
            submission.kind,
            submission.meta,
            submission.body,
            submission.body_crc,
            submission.op_id,
            time_ns() // 1_000_000,
        )
        self.wake()
        return ticket

    def bulk_send(self, node: int, message: bulk.BulkMessage) -> bool:
        """False if it can't be sent now."""
        sock = self.peers.socket_of(BULK, node) if self.peers is not None else None
        return sock is not None and sock.send(bulk.encode(message))

    def _accept(self, message: bulk.Submit, peer: int, now_us: int) -> None:
        if crc64(message.body) != message.body_crc:
            raise ValueError("a forwarded body arrived damaged")
        self.pending.submit(
            Submission(
                kind=message.kind,
                op_id=message.op_id,
                meta=message.meta,
                body=message.body,
                body_crc=message.body_crc,
                deadline_us=0,
                origin=Origin(peer, message.request_id),
            ),
            now_us,
        )

    def _ask_leader(self, ask: bulk.StagesAsk) -> bool:
        leader = self.leader()
        return leader is not None and leader != self.node and self.bulk_send(leader, ask)


def _is_quick(write: LogWrite) -> bool:
    """Neither long nor the first of a segment, whose file must be renamed into place."""
    return (
        write.body_bytes <= INLINE_BYTES_MAX
        and len(write.writes) == 1
        and write.writes[0].offset > 0
    )


def die_of_disk(error: BaseException) -> NoReturn:
    """After a failed flush nobody knows what is on disk, so nothing may be said any more."""
    log.critical("disk failed, stopping", extra={"reason": str(error)})
    os._exit(EXIT_DISK_FAILED)
