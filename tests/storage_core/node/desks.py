"""Routers of three nodes over three real cores, and the bulk frames between them, in memory."""

from __future__ import annotations

import asyncio
from collections import deque

from storage_core import bulk
from storage_core.catalog import codec
from storage_core.catalog.commands import Command, Outcome
from storage_core.errors import StoreError
from storage_core.io.checksum import crc64
from storage_core.pending import Origin, Pending, Submission
from storage_core.raft.messages import COMMAND
from tests.storage_core.node.cores import CoreNode, Cores

DEADLINE_US = 30_000_000


class Client:
    """Whoever submitted something: what it was told, which must be once."""

    def __init__(self) -> None:
        self.told: list[Outcome | StoreError] = []

    def __call__(self, result: Outcome | StoreError) -> None:
        self.told.append(result)

    @property
    def outcome(self) -> Outcome:
        (found,) = self.told
        assert isinstance(found, Outcome), found
        return found

    @property
    def error(self) -> StoreError:
        (found,) = self.told
        assert isinstance(found, StoreError), found
        return found


class Desk:
    """A node's router and what it must know of its node. `connected` are its bulk connections."""

    def __init__(self, desks: Desks, core_node: CoreNode, loop: asyncio.AbstractEventLoop) -> None:
        self.node = core_node.number
        self.core_node = core_node
        self.connected = {0, 1, 2} - {self.node}
        self.known: tuple[int | None, int] = (None, 0)
        self.done: set[int] = set()
        self.proposed: list[bytes] = []
        self._desks = desks
        self.pending = Pending(loop, self)

    def leader(self) -> int | None:
        return self.core_node.core.replica.leader

    def propose(self, submission: Submission) -> int:
        ticket = self.core_node.core.propose(
            submission.kind,
            submission.meta,
            submission.body,
            submission.body_crc,
            submission.op_id,
            1_700_000_000_000,
        )
        self.proposed.append(submission.op_id)
        return ticket

    def bulk_send(self, node: int, message: bulk.BulkMessage) -> bool:
        if node not in self.connected:
            return False
        frame = b"".join(bytes(buffer) for buffer in bulk.encode(message))
        self._desks.wire.append((self.node, node, frame))
        return True


class Desks:
    """Everything happens in `settle`; frames in `wire` may be dropped by a test before."""

    def __init__(self, cores: Cores) -> None:
        loop = asyncio.get_running_loop()
        self.cores = cores
        self.wire: deque[tuple[int, int, bytes]] = deque()
        self.desks = [Desk(self, node, loop) for node in cores.nodes]

    def submit(
        self, at: int, command: Command, *, body: bytes = b"", deadline_us: int = DEADLINE_US
    ) -> Client:
        client = Client()
        submission = Submission(
            kind=COMMAND,
            op_id=self.cores.new_op(),
            meta=codec.encode(command),
            body=body,
            body_crc=crc64(body),
            deadline_us=self.cores.now_us + deadline_us,
            on_done=client,
        )
        self.desks[at].pending.submit(submission, self.cores.now_us)
        return client

    async def settle(self) -> None:
        """Until cores, routers and the wire are quiet."""
        busy = True
        while busy:
            self.cores.settle()
            busy = self.tell_routers()
            while self.wire:
                busy = True
                self.deliver(*self.wire.popleft())
        await asyncio.sleep(0)

    async def pass_time(self, us: int) -> None:
        """Routers are swept each 50 ms, as by a node."""
        for _ in range(us // 50_000):
            self.cores.pass_time(50_000)
            for desk in self.desks:
                desk.pending.sweep(self.cores.now_us)
            await self.settle()

    def cut(self, one: int, other: int) -> None:
        """The bulk connection of a pair breaks, with what is on its way."""
        self.wire = deque(item for item in self.wire if {item[0], item[1]} != {one, other})
        for desk, peer in ((self.desks[one], other), (self.desks[other], one)):
            desk.connected.discard(peer)
            desk.pending.disconnected(peer, self.cores.now_us)

    def join(self, one: int, other: int) -> None:
        self.desks[one].connected.add(other)
        self.desks[other].connected.add(one)

    def tell_routers(self) -> bool:
        busy = False
        for desk in self.desks:
            node, pending = desk.core_node, desk.pending
            replica = node.core.replica
            for ticket in [key for key in node.settled if key not in desk.done]:
                desk.done.add(ticket)
                pending.settled(ticket, node.settled[ticket], None)
                busy = True
            for ticket in [key for key in node.lost if key not in desk.done]:
                desk.done.add(ticket)
                pending.lost(ticket, node.lost[ticket], self.cores.now_us)
                busy = True
            known = (replica.leader, replica.term)
            if known != desk.known:
                desk.known = known
                busy = True
                if known[0] is not None:
                    pending.leader_changed(self.cores.now_us)
        return busy

    def deliver(self, sender: int, to: int, frame: bytes) -> None:
        pending = self.desks[to].pending
        message = bulk.decode(memoryview(frame)[4:])
        if isinstance(message, bulk.Submit):
            forwarded = Submission(
                kind=message.kind,
                op_id=message.op_id,
                meta=message.meta,
                body=message.body,
                body_crc=message.body_crc,
                deadline_us=0,
                origin=Origin(sender, message.request_id),
            )
            pending.submit(forwarded, self.cores.now_us)
        else:
            assert isinstance(message, bulk.Reply)
            pending.replied(message, self.cores.now_us)
