"""One simulated node: the real core, log, catalog and recovery on a simulated disk and network.

This is the shell that `storage_core.engine` is in production, small and without a loop: an event
is told to the core, `pump` takes what must be done and does it. The disk thread is a delay.

What always holds: a stopped node does nothing; what it was about to do is half done on its disk.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Tuple

from storage_core.catalog import codec
from storage_core.core import Core, Effects, Write
from storage_core.errors import CorruptLog
from storage_core.index.memory import MemoryIndex
from storage_core.log.format import Extent
from storage_core.log.slots import Owner, Watermark
from storage_core.log.writer import LogWork, LogWriter
from storage_core.raft.messages import MOVE, Message
from storage_core.raft.ready import LEADER, Timing
from storage_core.raft.replica import Replica
from tests.simulation import boot, upkeep
from tests.simulation.checker import Checker, WatchedCatalog
from tests.simulation.checksum import crc64
from tests.simulation.disk import Interrupted, SimDisk
from tests.simulation.network import Network
from tests.simulation.world import Rng, World

UPKEEP_US = 400_000
# In place of a client's number in an operation's id.
MOVER = 9_000

Answer = Callable[[str, Any], None]


class SimNode:
    """`up` and not `paused`: it works. `broken`: its disk rotted, it must not start again."""

    def __init__(
        self,
        number: int,
        *,
        voters: int,
        world: World,
        seed: int,
        network: Network,
        checker: Checker,
    ) -> None:
        self.number = number
        self.voters = range(voters)
        self.world = world
        self.rng = Rng(seed, 100 + number)
        self.network = network
        self.checker = checker
        self.disk = SimDisk(Rng(seed, 200 + number))
        self.index = MemoryIndex()
        self.owner = Owner(boot.IDENTITY, number)
        self.up = False
        self.paused = False
        self.broken = False
        self.rotten = False
        self.incarnation = 0
        self.move_count = 0
        self.cleans = True
        self.clock_offset_us = self.rng.below(1 << 40)
        self.clock_rate = 1.0
        self.wall_offset_ms = 1_700_000_000_000
        self.flush_us_min, self.flush_us_spread = 150, 600
        self.timing = Timing()
        self.peers: List[SimNode] = []
        # What the nemesis has planned for the next write, and for the next leadership.
        self.when_writing: List[Callable[[], None]] = []
        self.when_leading: List[Callable[[], None]] = []

    # -- clocks ---------------------------------------------------------------------------------

    def now_us(self) -> int:
        return self.clock_offset_us + int(self.world.now_us * self.clock_rate)

    def time_ms(self) -> int:
        return self.wall_offset_ms + self.world.now_us // 1_000

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> bool:
        """Recover from the disk, flush, and only then speak. False if it is not up after all."""
        assert not self.up and not self.broken, self.number
        self.incarnation += 1
        self.paused = False
        try:
            self._open()
        except CorruptLog as damage:
            self.checker.refused_to_start(self.number, rotten=self.rotten, damage=str(damage))
            self.broken = True
            self.world.note("refused", self.number, damage.index)
            return False
        except Interrupted:
            self._halt()
            return False
        self.up = True
        self.world.note("start", self.number, self.core.applied_index, self.log.last_index)
        self.world.after(self.rng.below(UPKEEP_US), self._upkeep, self.incarnation)
        for peer in self.peers:
            if peer.up and peer is not self:
                peer.core.replica.peer_restarted(self.number)
                self.core.replica.peer_restarted(peer.number)
        self.pump()
        return True

    def _open(self) -> None:
        self.catalog = WatchedCatalog(self.number, self.index, self.checker)
        applied = self.catalog.applied()
        applied_index = applied.index if applied is not None else 0
        home, self.pool, self.log = boot.open_log(self.disk, self.owner, applied_index)
        self.checker.recovered(self.number, self.log, home.hard_state)
        replica = Replica(
            node=self.number,
            voters=self.voters,
            hard_state=home.hard_state,
            log=self.log,
            timing=self.timing,
            rng=self.rng.real,
            now_us=self.now_us(),
            applied_index=applied_index,
        )
        self.writer = LogWriter(
            disk=self.disk,
            pool=self.pool,
            owner=self.owner,
            crc64=crc64,
            hard_state_slot=home.hard_state_slot,
            watermark_slot=home.watermark_slot,
            monotonic_ns=lambda: 0,
        )
        self.core = Core(replica=replica, log=self.log, catalog=self.catalog)  # type: ignore[arg-type]
        self._reset(home.watermark, applied_index)

    def _reset(self, watermark: Watermark, applied_index: int) -> None:
        self.works: List[LogWork] = []
        self.writing = False
        self.tickets: Dict[int, Answer] = {}
        self.readers: Dict[int, Answer] = {}
        self.last_context = 0
        self.waiting_events: List[Tuple[Callable[..., None], Tuple[Any, ...]]] = []
        self.armed_us = -1
        self.watermark = watermark
        self.next_watermark: Optional[Watermark] = None
        self.durable_watermark = watermark
        self.flushed_index = applied_index
        self.checked_commit = self.core.replica.commit_index

    def stop(self, *, power_cut: Optional[int]) -> None:
        """The process dies; with `power_cut` the disk forgets, too."""
        if self.up and self.works and self.rng.chance(0.8):
            self.disk.fuse = self.rng.below(5)
            try:
                self.writer.run(self.works)
            except Interrupted:
                pass
            self.disk.fuse = None
        self._halt()
        # What the index had not flushed was in the process's own memory.
        self.index.crash()
        if power_cut is not None:
            self.disk.power_cut(power_cut)

    def _halt(self) -> None:
        self.up = False
        self.incarnation += 1

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        """All that came meanwhile is handled at once: first what came, then what is due.

        That is an event loop's order, and the unkind one: a leader serves before it sees the time.
        """
        self.paused = False
        events, self.waiting_events = self.waiting_events, []
        for timers in (False, True):
            for action, arguments in events:
                if self.up and (action == self._tick) is timers:
                    action(*arguments)

    def happens(self, incarnation: int, action: Callable[..., None], *arguments: Any) -> None:
        """Do it now, later if paused, or never if this incarnation is gone."""
        if incarnation != self.incarnation or not self.up:
            return
        if self.paused:
            self.waiting_events.append((action, arguments))
            return
        action(*arguments)

    # -- events ---------------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        self.happens(self.incarnation, self._receive, message)

    def _receive(self, message: Message) -> None:
        self.core.receive(message, self.now_us())
        self.pump()

    def _tick(self, wake_us: int) -> None:
        if self.armed_us == wake_us:
            self.armed_us = -1
        self.core.tick(self.now_us())
        self.pump()

    def pump(self) -> None:
        """Obey the core until it wants nothing more."""
        while True:
            effects = self.core.take(self.now_us())
            self._obey(effects)
            if not effects.more:
                break
        self._arm()

    def _arm(self) -> None:
        wake_us = self.core.replica.next_wake_us()
        if wake_us == self.armed_us:
            return
        self.armed_us = wake_us
        delay_us = max(0, int((wake_us - self.now_us()) / self.clock_rate) + 1)
        self.world.after(delay_us, self.happens, self.incarnation, self._tick, wake_us)

    def _obey(self, effects: Effects) -> None:
        replica = self.core.replica
        if effects.lost_leadership or effects.became_leader:
            self.world.note("leader", self.number, replica.term, int(effects.became_leader))
        if effects.became_leader:
            self.checker.became_leader(self.number, replica.term, self.log)
            self._meet_fate(self.when_leading)
        if replica.commit_index > self.checked_commit:
            self.checker.committed(
                self.log,
                self.checked_commit + 1,
                replica.commit_index,
                leader_term=replica.term if replica.role == LEADER else 0,
            )
            self.checked_commit = replica.commit_index
        for outgoing in effects.messages:
            self.checker.announced(self.number, outgoing.to, outgoing.message)
            self.network.send(self.number, outgoing.to, outgoing.message)
        if effects.write is not None:
            self._write(effects.write)
        for ticket, outcome in effects.settled:
            self.tickets.pop(ticket)("done", outcome)
        for ticket, outcome_known in effects.lost:
            self.tickets.pop(ticket)("lost", outcome_known)
        for context in effects.reads_ready:
            self._answer_reader(context, "ready")
        for context in effects.reads_failed:
            self._answer_reader(context, "failed")

    def _answer_reader(self, context: int, word: str) -> None:
        answer = self.readers.pop(context, None)
        if answer is not None:
            answer(word, None)

    # -- the disk thread ------------------------------------------------------------------------

    def _write(self, write: Write) -> None:
        watermark, self.next_watermark = self.next_watermark, None
        self.checker.write_taken(self.number, write)
        self.works.append(LogWork(write.write_id, write.hard_state, write.log, watermark))
        self._meet_fate(self.when_writing)
        if not self.writing:
            self._start_writing()

    def _start_writing(self) -> None:
        self.writing = True
        delay_us = self.flush_us_min + self.rng.below(self.flush_us_spread)
        self.world.after(delay_us, self._flush, self.incarnation, len(self.works))

    def _flush(self, incarnation: int, count: int) -> None:
        """The disk goes on while the process is paused; only its answer waits."""
        if incarnation != self.incarnation or not self.up:
            return
        works, self.works = self.works[:count], self.works[count:]
        dones = self.writer.run(works)
        self.writing = False
        if self.works:
            self._start_writing()
        self.happens(incarnation, self._flushed, works, [done.write_id for done in dones])

    def _flushed(self, works: List[LogWork], write_ids: List[int]) -> None:
        for work, write_id in zip(works, write_ids):
            self.core.write_flushed(write_id)
            self.checker.write_flushed(self.number, self.log, work.log_write, work.hard_state)
            if work.watermark is not None:
                self.durable_watermark = work.watermark
        self.pump()

    def _meet_fate(self, fates: List[Callable[[], None]]) -> None:
        """The nemesis waits for a moment that matters: now, or a little later."""
        if fates:
            self.world.after(self.rng.below(self.flush_us_min + self.flush_us_spread), fates.pop())

    # -- what clients ask -----------------------------------------------------------------------

    def propose(self, kind: int, meta: bytes, body: bytes, op_id: bytes, answer: Answer) -> None:
        """Raises NotLeader, Overloaded."""
        ticket = self.core.propose(kind, meta, body, crc64(body, 0), op_id, self.time_ms())
        self.tickets[ticket] = answer
        self.pump()

    def read_barrier(self, answer: Answer) -> None:
        """Calls back when what is applied here is recent enough."""
        if self.core.can_read_now(self.now_us()):
            answer("ready", None)
            return
        self.last_context += 1
        self.readers[self.last_context] = answer
        self.core.read(self.last_context, self.now_us())
        self.pump()

    def read_body(self, extents: Tuple[Extent, ...]) -> bytes:
        parts = []
        for segment_seq, offset, length, crc in extents:
            part = self.pool.read(segment_seq, offset, length)
            if crc64(part, 0) != crc:
                self.checker.damaged_body(self.number, rotten=self.rotten)
            parts.append(part)
        return b"".join(parts)

    # -- upkeep ---------------------------------------------------------------------------------

    def _upkeep(self, incarnation: int) -> None:
        if incarnation != self.incarnation:
            return
        self.happens(incarnation, self._upkeep_step)
        self.world.after(UPKEEP_US // 2 + self.rng.below(UPKEEP_US), self._upkeep, incarnation)

    def _upkeep_step(self) -> None:
        if self.rng.chance(0.4):
            self.index.flush()
            self.flushed_index = self.core.applied_index
        safe_index = self.core.replica.safe_index
        upkeep.compact(
            self.log,
            limit_index=min(self.flushed_index, safe_index, self.watermark.durable.index),
        )
        mark = upkeep.next_watermark(self.log, self.watermark, self.core.applied_index)
        if mark is not None:
            self.watermark = self.next_watermark = mark
        released = upkeep.release(
            self.pool,
            self.log,
            self.catalog.segments(),
            durable=self.durable_watermark,
            limit_index=min(self.flushed_index, safe_index),
        )
        for segment_seq in released:
            self.world.note("release", self.number, segment_seq)
        if self.cleans and self.core.replica.takes_proposals:
            self._clean(min(self.flushed_index, safe_index, self.watermark.durable.index))

    def _clean(self, limit_index: int) -> None:
        moves = upkeep.plan_moves(
            self.pool,
            self.log,
            self.catalog.segments(),
            self.catalog.is_live,
            limit_index=limit_index,
        )
        for command, extent in moves:
            self.move_count += 1
            op_id = b"%4d%12d" % (MOVER + self.number, self.move_count)
            body = self.read_body((extent,))
            self.propose(MOVE, codec.encode(command), body, op_id, lambda word, answer: None)
