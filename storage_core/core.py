"""One node of the store without its hands: Raft, the log and the catalog as a single machine.

Events go in (a message, a tick, a proposal, "that write is on disk"), and `take` hands out what
must now be done: a write, messages, outcomes for those who wait. The node's shell does these with
real disks and sockets, the simulator with simulated ones; both run this very code.

Three things always hold. A message that promises durability leaves only after every write handed
out before it is on disk. An entry is applied only when it is committed *and* durable here, because
the index may reach the disk at any time and must never be ahead of the log that holds its bodies.
A proposal is settled once: with its outcome, or as lost, and then nobody knows it any more.

Small writes and chunks of large bodies alternate in pure batches, so that neither starves.

Read next: `raft.replica`, `log.entries`, `catalog.machine`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Deque, Dict, List, NamedTuple, Optional, Tuple

from storage_core.errors import NotLeader, Overloaded
from storage_core.raft.messages import CHUNK, HardState, Message, Outgoing, Payload
from storage_core.raft.ready import LEADER

if TYPE_CHECKING:
    from storage_core.catalog.commands import Command, Outcome
    from storage_core.catalog.machine import Catalog
    from storage_core.log.entries import EntryLog, LogWrite
    from storage_core.log.format import Position
    from storage_core.raft.messages import Entry
    from storage_core.raft.replica import Replica


class Limits(NamedTuple):
    """Bounds of the pipeline; the figures are measured, see ARCHITECTURE, "One log"."""

    batch_records: int = 64
    small_batch_bytes: int = 512 * 1024
    chunk_batch_bytes: int = 1024 * 1024
    chunk_batch_bytes_mixed: int = 512 * 1024  # while small writes were seen lately
    mixed_memory_batches: int = 4
    writes_in_flight: int = 2
    uncommitted_bytes: int = 32 * 1024 * 1024
    queue_records: int = 4096
    queue_bytes: int = 64 * 1024 * 1024
    apply_records: int = 128  # some 4 ms of the loop
    apply_bytes: int = 8 * 1024 * 1024


LIMITS = Limits()


class Write(NamedTuple):
    """Both parts durable, hard state first, before `write_flushed(write_id)` is called."""

    write_id: int
    hard_state: Optional[HardState]
    log: Optional[LogWrite]


class Applied(NamedTuple):
    """An entry that took effect, where its record starts, and the length of its meta."""

    entry: Entry
    position: Position
    meta_bytes: int


class Effects(NamedTuple):
    """What the shell owes the core after `take`."""

    write: Optional[Write]
    messages: List[Outgoing]
    settled: List[Tuple[int, Outcome]]
    lost: List[Tuple[int, str]]
    reads_ready: List[int]
    reads_failed: List[int]
    applied: List[Applied]
    became_leader: bool
    lost_leadership: bool
    more: bool


class _Queued(NamedTuple):
    ticket: int
    payload: Payload
    size_bytes: int


class Core:
    """Single-threaded; every method returns at once. `now_us` is monotonic, microseconds."""

    def __init__(
        self, *, replica: Replica, log: EntryLog, catalog: Catalog, limits: Limits = LIMITS
    ) -> None:
        self.replica = replica
        self.log = log
        self.catalog = catalog
        self.limits = limits
        point = catalog.applied()
        self.applied_index = point.index if point is not None else 0
        self._small: Deque[_Queued] = deque()
        self._chunks: Deque[_Queued] = deque()
        self._queued_bytes = 0
        self._last_batch_was_chunks = False
        self._batches_since_small = limits.mixed_memory_batches
        self._uncommitted: Deque[Tuple[int, int]] = deque()
        self._uncommitted_bytes = 0
        self._last_ticket = 0
        self._waiting: Dict[int, Tuple[int, int]] = {}  # log index -> (term, ticket)
        self._last_time_ms = 0
        self._next_write_id = 1
        self._flushed_write_id = 0
        self._in_flight: Deque[Write] = deque()
        self._pending_hard_state: Optional[HardState] = None
        self._gated: Deque[Tuple[int, Outgoing]] = deque()
        self._reads: List[Tuple[int, int]] = []  # (index to be applied, context)
        self._lost: List[Tuple[int, str]] = []
        self._released: List[Outgoing] = []

    # -- events -----------------------------------------------------------------------------

    def tick(self, now_us: int) -> None:
        self.replica.tick(now_us)

    def receive(self, message: Message, now_us: int) -> None:
        self.replica.step(message, now_us)

    def read(self, context: int, now_us: int) -> None:
        """Ask for a linearizable read point; `context` comes back in `reads_ready` or `_failed`."""
        self.replica.read(context, now_us)

    def propose(
        self, kind: int, meta: bytes, body: bytes, body_crc: int, op_id: bytes, time_ms: int
    ) -> int:
        """Queue one entry and return its ticket. Raises `NotLeader`, `Overloaded`."""
        if self.replica.role != LEADER:
            raise NotLeader(self.replica.leader)
        size = len(meta) + len(body)
        if self._queued_bytes + size > self.limits.queue_bytes:
            raise Overloaded("proposal queue holds %d bytes" % self._queued_bytes)
        if len(self._small) + len(self._chunks) >= self.limits.queue_records:
            raise Overloaded("proposal queue holds %d records" % self.limits.queue_records)
        if time_ms > self._last_time_ms:
            self._last_time_ms = time_ms
        self._last_ticket += 1
        payload = Payload(kind, self._last_time_ms, op_id, meta, body, body_crc)
        # A final entry rides the same queue as its chunks only through its caller, who submits
        # it after their outcomes are known; so the two queues never reorder one upload.
        queue = self._chunks if kind == CHUNK or len(body) > 131072 else self._small
        queue.append(_Queued(self._last_ticket, payload, size))
        self._queued_bytes += size
        return self._last_ticket

    def write_flushed(self, write_id: int) -> None:
        """The oldest write in flight is on disk, both its parts."""
        write = self._in_flight.popleft()
        assert write.write_id == write_id, (write.write_id, write_id)
        self._flushed_write_id = write_id
        if write.hard_state is not None:
            self.replica.hard_state_flushed(write.hard_state.sequence)
        if write.log is not None:
            self.log.mark_durable(write.log.last_index, write.log.last_term)
            self.replica.log_flushed(write.log.last_index, write.log.last_term)
        while self._gated and self._gated[0][0] <= write_id:
            self._released.append(self._gated.popleft()[1])

    # -- questions --------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Nothing queued, nothing unapplied: what the rows say is what the next command meets."""
        return not self._small and not self._chunks and self.applied_index == self.log.last_index

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes

    @property
    def writes_in_flight(self) -> int:
        return len(self._in_flight)

    def can_read_now(self, now_us: int) -> bool:
        """A leader inside its lease with every committed entry applied; Raft thesis §6.4.1."""
        replica = self.replica
        return self.applied_index >= replica.commit_index and replica.lease_valid(now_us)

    def precheck(self, command: Command, now_us: int) -> str:
        """A refusal that is certain now, else "". Never rests on an entry that may still fail."""
        if not self.is_idle or not self.can_read_now(now_us):
            return ""
        return self.catalog.evaluate(command)

    # -- effects ----------------------------------------------------------------------------

    def take(self, now_us: int) -> Effects:
        """What must be done now. Call again at once while `more` is set."""
        self._fill(now_us)
        ready = self.replica.ready()
        messages: List[Outgoing] = []
        reads_failed: List[int] = []
        became_leader = lost_leadership = False
        after: List[Outgoing] = []
        if ready is not None:
            if ready.hard_state is not None:
                self._pending_hard_state = ready.hard_state
            became_leader, lost_leadership = ready.became_leader, ready.lost_leadership
            for message in ready.messages:
                (after if message.after_flush else messages).append(message)
            if ready.read_states:
                self._reads.extend((state.index, state.context) for state in ready.read_states)
            reads_failed.extend(ready.reads_failed)
        if lost_leadership:
            self._lose_proposals()
        if became_leader:
            self._adopt_time()
        # `after` waits for all that this node knows of now, written or still to be written.
        has_write = self._has_pending_write()
        gate = self._next_write_id if has_write else self._next_write_id - 1
        write = self._take_write() if has_write else None
        for message in after:
            if gate <= self._flushed_write_id:
                messages.append(message)
            else:
                self._gated.append((gate, message))
        if self._released:
            messages.extend(self._released)
            self._released = []
        settled: List[Tuple[int, Outcome]] = []
        applied = self._apply(settled) if self._has_unapplied() else []
        lost, self._lost = self._lost, []
        return Effects(
            write,
            messages,
            settled,
            lost,
            self._reads_ready() if self._reads else [],
            reads_failed,
            applied,
            became_leader,
            lost_leadership,
            self._has_more(),
        )

    def _has_pending_write(self) -> bool:
        return self._pending_hard_state is not None or self.log.has_pending_write

    def _has_more(self) -> bool:
        room = len(self._in_flight) < self.limits.writes_in_flight
        if room and self._has_pending_write():
            return True
        if self._has_unapplied():
            return True
        if not room or self.replica.role != LEADER or self.replica.transferee is not None:
            return False
        return bool(self._small or self._chunks) and (
            self._uncommitted_bytes < self.limits.uncommitted_bytes
        )

    def _has_unapplied(self) -> bool:
        """Whether an entry is committed and durable here that has not taken effect."""
        applied_index = self.applied_index
        return self.replica.commit_index > applied_index < self.log.durable_index

    def _take_write(self) -> Optional[Write]:
        if len(self._in_flight) >= self.limits.writes_in_flight:
            return None
        write = Write(self._next_write_id, self._pending_hard_state, self.log.take_write())
        self._next_write_id += 1
        self._pending_hard_state = None
        self._in_flight.append(write)
        return write

    def _fill(self, now_us: int) -> None:
        """Turn queued proposals into one batch of entries, if the pipeline has room."""
        if self._uncommitted:
            self._forget_committed()
        if self.replica.role != LEADER or not (self._small or self._chunks):
            return
        if self.replica.transferee is not None:
            return  # what is queued waits for the transfer's end, or is lost with leadership
        if len(self._in_flight) >= self.limits.writes_in_flight:
            return
        if self._uncommitted_bytes >= self.limits.uncommitted_bytes:
            return
        batch = self._next_batch()
        first_index = self.replica.propose([queued.payload for queued in batch], now_us)
        term = self.replica.term
        size = 0
        for index, queued in enumerate(batch, first_index):
            self._waiting[index] = (term, queued.ticket)
            size += queued.size_bytes
        self._queued_bytes -= size
        self._uncommitted.append((first_index + len(batch) - 1, size))
        self._uncommitted_bytes += size

    def _next_batch(self) -> List[_Queued]:
        limits = self.limits
        use_small = bool(self._small) and (not self._chunks or self._last_batch_was_chunks)
        if use_small:
            queue, bytes_max, self._batches_since_small = self._small, limits.small_batch_bytes, 0
        else:
            queue = self._chunks
            mixed = self._batches_since_small < limits.mixed_memory_batches
            bytes_max = limits.chunk_batch_bytes_mixed if mixed else limits.chunk_batch_bytes
            self._batches_since_small += 1
        self._last_batch_was_chunks = not use_small
        batch = [queue.popleft()]
        size = batch[0].size_bytes
        while queue and len(batch) < limits.batch_records:
            size += queue[0].size_bytes
            if size > bytes_max:
                break
            batch.append(queue.popleft())
        return batch

    def _forget_committed(self) -> None:
        commit_index = self.replica.commit_index
        while self._uncommitted and self._uncommitted[0][0] <= commit_index:
            self._uncommitted_bytes -= self._uncommitted.popleft()[1]

    def _lose_proposals(self) -> None:
        """Leadership is gone: queued proposals never were, proposed ones are anybody's guess."""
        for queue in (self._small, self._chunks):
            self._lost.extend((queued.ticket, "none") for queued in queue)
            queue.clear()
        self._lost.extend((ticket, "unknown") for _, ticket in self._waiting.values())
        self._waiting.clear()
        self._uncommitted.clear()
        self._queued_bytes = self._uncommitted_bytes = 0

    def _adopt_time(self) -> None:
        """Entry time never goes back, whatever the clocks of two leaders say."""
        log = self.log
        # The last entry is our own no-op, and before it there may be others': none has a time.
        for index in range(log.last_index, log.first_index - 1, -1):
            time_ms = log.entries(index, index, 0)[0].time_ms
            if time_ms:
                self._last_time_ms = max(self._last_time_ms, time_ms)
                return

    def _apply(self, settled: List[Tuple[int, Outcome]]) -> List[Applied]:
        """Apply a bounded slice of what is committed and durable here."""
        upto = min(
            self.replica.commit_index,
            self.log.durable_index,
            self.applied_index + self.limits.apply_records,
        )
        assert upto > self.applied_index, (upto, self.applied_index)
        log = self.log
        entries = log.entries(self.applied_index + 1, upto, self.limits.apply_bytes)
        last = entries[-1].index
        assert last > self.applied_index, (last, self.applied_index)
        positions = log.positions_of(self.applied_index + 1, last)
        applied = [
            Applied(entry, position, len(entry.meta)) for entry, position in zip(entries, positions)
        ]
        outcomes = self.catalog.apply(applied, log.point_at(last))
        assert len(outcomes) == len(applied), "one outcome an entry"
        self.applied_index = last
        self.replica.applied_to(last)
        if self._waiting:
            for item, outcome in zip(applied, outcomes):
                waiting = self._waiting.pop(item.entry.index, None)
                if waiting is None:
                    continue
                assert waiting[0] == item.entry.term, "a leader's entry keeps its place"
                settled.append((waiting[1], outcome))
        return applied

    def _reads_ready(self) -> List[int]:
        ready = [context for index, context in self._reads if index <= self.applied_index]
        if ready:
            self._reads = [item for item in self._reads if item[0] > self.applied_index]
        return ready
