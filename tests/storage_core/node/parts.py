"""Whole nodes in this process, but for their front ends: real disks, real peers, one loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from time import monotonic_ns

from storage_core.cache.bodies import BodyCache
from storage_core.catalog.commands import Command, CreateAccount, CreateContainer, Outcome, PutBlob
from storage_core.engine import Engine
from storage_core.io.checksum import crc64
from storage_core.log.format import Identity
from storage_core.log.reader import BodyReader
from storage_core.peers import Peers, this_process
from storage_core.startup import Cluster, open_node
from storage_core.status import RecentTimes
from storage_core.store import NodeStore
from storage_core.upkeep import Pace, Upkeep
from telemetry.config import Settings
from telemetry.metrics import Histogram
from telemetry.tracing import StageClock
from tests.storage_core.node.cores import ACCOUNT, CONTAINER
from tests.storage_core.node.loops import until

ALWAYS = Pace(
    step_s=0.0,
    index_flush_records=1,
    index_flush_s=0.0,
    watermark_s=0.0,
    clean_s=0.0,
    housekeeping_s=0.0,
)
SEGMENT_BYTES = 1 << 20
SUBMIT_US = 20_000_000


class Part:
    """One node. `crash` leaves its directory as a `kill -9` would."""

    def __init__(self, home: Path, node: int, ports: Sequence[int]) -> None:
        loop = asyncio.get_running_loop()
        cluster = Cluster(Identity(7, 1), len(ports))
        settings = Settings.from_environment({"HOLDFAST_HOME": str(home)})
        self.node = node
        self.opened = open_node(settings, node, cluster, segment_bytes=SEGMENT_BYTES)
        self.reader = BodyReader(self.opened.disk, crc64=crc64, executor=None)
        self.cache = cache = BodyCache(0)
        self.engine = Engine(
            loop,
            node=node,
            core=self.opened.core,
            writer=self.opened.writer,
            cache=cache,
            flush_times=RecentTimes(Histogram()),
        )
        self.view = self.opened.catalog.view()
        self.store = NodeStore(self.engine, reader=self.reader, cache=cache, view=self.view)
        self.upkeep = Upkeep(self.engine, self.store, self.opened, self.reader, pace=ALWAYS)
        self.engine.peers = self.peers = Peers(
            loop,
            cluster_id=7,
            addresses={number: ("127.0.0.1", port) for number, port in enumerate(ports)},
            key=b"key",
            process=this_process(node),
            events=self.engine.peer_events(),
        )

    @property
    def leads(self) -> bool:
        return self.engine.leader() == self.node

    def start(self, listener: socket.socket) -> None:
        self.peers.start(listener)
        self.engine.start()

    def crash(self) -> None:
        self.upkeep.close()
        self.peers.close()
        self.engine.stop()
        self.opened.index.close()
        self.opened.disk.close()
        self.opened.lock.release()

    async def submit(self, command: Command, body: bytes = b"") -> Outcome:
        deadline_us = monotonic_ns() // 1000 + SUBMIT_US
        return await self.store.submit(
            command, body, crc64(body), clock=StageClock(), deadline_us=deadline_us
        )

    async def put(self, name: str, body: bytes) -> Outcome:
        outcome = await self.submit(PutBlob(ACCOUNT, CONTAINER, name, len(body)), body)
        assert outcome.code == "", outcome
        return outcome

    async def read(self, name: str) -> bytes | None:
        """What a reader finds here once it may look."""
        deadline_us = monotonic_ns() // 1000 + SUBMIT_US
        await self.store.read_barrier(clock=StageClock(), deadline_us=deadline_us)
        row = self.view.blob(ACCOUNT, CONTAINER, name)
        if row is None:
            return None
        return b"".join([await self.reader.read(extent) for extent in row.extents])


class Parts:
    """One node or three, in one directory. Any may be down."""

    def __init__(self, home: Path, count: int = 3) -> None:
        self.home = home
        with_ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        self.ports = [sock.getsockname()[1] for sock in with_ports]
        for sock in with_ports:
            sock.close()
        self.parts: dict[int, Part] = {}

    def start(self, *nodes: int) -> None:
        for node in nodes:
            part = self.parts[node] = Part(self.home, node, self.ports)
            part.start(socket.create_server(("127.0.0.1", self.ports[node])))

    async def crash(self, *nodes: int) -> None:
        for node in nodes:
            self.parts.pop(node).crash()
        await asyncio.sleep(0)

    async def ready(self) -> Part:
        """The leader, when all that run follow it and there is a container."""
        await self.settled()
        leader = self.leader
        await leader.submit(CreateAccount(ACCOUNT, (b"key",)))
        await leader.submit(CreateContainer(ACCOUNT, CONTAINER))
        return leader

    async def settled(self) -> None:
        def agree() -> bool:
            leaders = {part.engine.leader() for part in self.parts.values()}
            joined = all(
                part.peers.socket_of(kind, other)
                for part in self.parts.values()
                for other in self.parts
                if other != part.node
                for kind in (0, 1)
            )
            return joined and len(leaders) == 1 and leaders <= self.parts.keys()

        await until(agree, "one leads")

    @property
    def leader(self) -> Part:
        (found,) = [part for part in self.parts.values() if part.leads]
        return found

    @property
    def followers(self) -> list[Part]:
        return [part for part in self.parts.values() if not part.leads]
