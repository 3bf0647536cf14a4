"""Three real cores wired in memory: nothing happens by itself, and time is a number.

A test tells a core something, lets disks flush, and delivers messages, in the order it likes.
Segments and index are the in-memory twins; consensus, log and catalog are the product's.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from itertools import count

from storage_core.catalog import codec
from storage_core.catalog.commands import (
    UNCONDITIONAL,
    Chunk,
    Command,
    Conditions,
    CreateAccount,
    CreateContainer,
    Outcome,
    PutBlob,
)
from storage_core.catalog.machine import Catalog
from storage_core.core import LIMITS, Core, Effects, Limits, Write
from storage_core.index.memory import MemoryIndex
from storage_core.io.checksum import crc64
from storage_core.log.entries import EntryLog
from storage_core.log.format import GENESIS, Identity
from storage_core.raft.messages import CHUNK, COMMAND, HardState, Outgoing
from storage_core.raft.ready import LEADER, Timing
from storage_core.raft.replica import Replica
from tests.storage_core.log.samples import Segments

NODES = range(3)
SEGMENT_BYTES = 4 * 1024 * 1024
TICK_US = 10_000
ACCOUNT, CONTAINER = "team", "data"
UPLOAD = b"u" * 16

Drop = Callable[[int, Outgoing], bool]


def put(name: str, body: bytes = b"", *, conditions: Conditions = UNCONDITIONAL) -> PutBlob:
    return PutBlob(ACCOUNT, CONTAINER, name, len(body), conditions=conditions)


def chunk(sequence: int, upload_id: bytes = UPLOAD) -> Chunk:
    return Chunk(upload_id, sequence, ACCOUNT, CONTAINER, "large")


class CoreNode:
    """One core, its disk (writes wait in `writes` until `flush`), and what it told its shell."""

    def __init__(self, number: int, now_us: int, limits: Limits = LIMITS) -> None:
        self.number = number
        self.segments = Segments(SEGMENT_BYTES)
        self.index = MemoryIndex()
        self.log = EntryLog(
            start=GENESIS,
            identity=Identity(7, 1),
            crc64=crc64,
            read=self.segments.read,
            segment_bytes=SEGMENT_BYTES,
        )
        replica = Replica(
            node=number,
            voters=NODES,
            hard_state=HardState(0, 0, None, 0),
            log=self.log,
            timing=Timing(),
            rng=random.Random(number).random,
            now_us=now_us,
            applied_index=0,
        )
        self.core = Core(replica=replica, log=self.log, catalog=Catalog(self.index), limits=limits)
        self.writes: deque[Write] = deque()
        self.batches: list[list[int]] = []
        self.outbox: deque[Outgoing] = deque()
        self.sent: list[Outgoing] = []
        self.settled: dict[int, Outcome] = {}
        self.lost: dict[int, str] = {}
        self.reads_ready: list[int] = []
        self.reads_failed: list[int] = []

    @property
    def leads(self) -> bool:
        return self.core.replica.role == LEADER

    def take(self, now_us: int) -> Effects:
        """One round; what it wants is kept here."""
        effects = self.core.take(now_us)
        self.outbox.extend(effects.messages)
        self.sent.extend(effects.messages)
        if effects.write is not None:
            self.writes.append(effects.write)
            log = effects.write.log
            if log is not None and log.record_count:
                entries = self.log.entries(log.first_index, log.last_index, 1 << 40)
                self.batches.append([entry.kind for entry in entries])
        for ticket, outcome in effects.settled:
            assert ticket not in self.settled and ticket not in self.lost, ticket
            self.settled[ticket] = outcome
        for ticket, word in effects.lost:
            assert ticket not in self.settled and ticket not in self.lost, ticket
            self.lost[ticket] = word
        self.reads_ready += effects.reads_ready
        self.reads_failed += effects.reads_failed
        return effects

    def drain(self, now_us: int) -> None:
        """Rounds until nothing more is wanted."""
        while self.take(now_us).more:
            pass

    def flush(self) -> None:
        """The oldest write reaches the disk."""
        write = self.writes.popleft()
        if write.log is not None:
            for segment_seq, offset, buffers in write.log.writes:
                segment = self.segments.ensure(segment_seq)
                for buffer in buffers:
                    segment[offset : offset + len(buffer)] = buffer
                    offset += len(buffer)
        self.core.write_flushed(write.write_id)

    def propose(self, command: Command, body: bytes = b"", op_id: bytes = bytes(16)) -> int:
        kind = CHUNK if isinstance(command, Chunk) else COMMAND
        meta = codec.encode(command)
        return self.core.propose(kind, meta, body, crc64(body), op_id, 1_700_000_000_000)


class Cores:
    """Three of them. `holds` names nodes whose disk flushes only when told."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.now_us = 1_000_000
        self.nodes = [CoreNode(number, self.now_us, limits) for number in NODES]
        self.holds: set[int] = set()
        self.drop: Drop = lambda sender, outgoing: False
        self._op_numbers = count(1)

    @property
    def leader(self) -> CoreNode:
        (found,) = [
            node
            for node in self.nodes
            if node.leads
            and node.core.replica.term == max(other.core.replica.term for other in self.nodes)
        ]
        return found

    @property
    def followers(self) -> list[CoreNode]:
        leader = self.leader
        return [node for node in self.nodes if node is not leader]

    def settle(self) -> None:
        """Flush and deliver until all is quiet."""
        busy = True
        while busy:
            busy = False
            for node in self.nodes:
                node.drain(self.now_us)
                while node.writes and node.number not in self.holds:
                    node.flush()
                    node.drain(self.now_us)
                    busy = True
                while node.outbox:
                    busy = True
                    outgoing = node.outbox.popleft()
                    if not self.drop(node.number, outgoing):
                        self.nodes[outgoing.to].core.receive(outgoing.message, self.now_us)

    def pass_time(self, us: int) -> None:
        for _ in range(us // TICK_US):
            self.now_us += TICK_US
            for node in self.nodes:
                node.core.tick(self.now_us)
            self.settle()

    def elect(self, number: int = 0) -> CoreNode:
        """Time passes until somebody leads, who then hands over to `number`."""
        while not any(node.leads for node in self.nodes):
            self.pass_time(TICK_US)
        self.pass_time(200_000)
        if self.leader.number != number:
            self.leader.core.replica.transfer(number, self.now_us)
            self.settle()
            self.pass_time(200_000)
        assert self.leader.number == number
        return self.leader

    def ready(self) -> CoreNode:
        """Node 0 leads, and there is a container to write to."""
        leader = self.elect()
        for command in (CreateAccount(ACCOUNT, (b"key",)), CreateContainer(ACCOUNT, CONTAINER)):
            self.done(leader, command)
        return leader

    def new_op(self) -> bytes:
        return next(self._op_numbers).to_bytes(16, "little")

    def done(self, leader: CoreNode, command: Command, body: bytes = b"") -> Outcome:
        """Propose, and let everything happen until it's settled and told to all."""
        ticket = leader.propose(command, body, self.new_op())
        self.settle()
        self.pass_time(100_000)
        return leader.settled[ticket]
