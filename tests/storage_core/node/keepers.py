"""Three whole nodes with their admin ports, and a fleet client that asks them as everybody does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from bench.cluster import free_port_base
from storage_core.admin import AdminServer
from storage_core.client import FleetClient
from storage_core.configuration import Configuration
from storage_core.configuration import Parts as Served
from storage_core.faults import Faults
from storage_core.frontend.front import FrontEnd
from storage_core.keeper import Keeper
from storage_core.memory import Memory
from storage_core.peers import this_process
from storage_core.status import NodeFacts, RecentTimes
from storage_core.vitals import Vitals
from telemetry.config import Settings
from telemetry.metrics import Histogram, MetricSet
from telemetry.tracing import Recorder
from tests.storage_core.node.loops import play, until
from tests.storage_core.node.parts import Part, Parts

Value = TypeVar("Value")
TOKEN = "t0ken"


class Kept:
    """One node and what its keepers meet."""

    def __init__(self, part: Part, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        self.part = part
        self.metrics = MetricSet()
        self.memory = Memory(settings.data(part.node))
        self.faults = Faults(
            loop, writer=part.opened.writer, peers=part.peers, allowed=settings.drills
        )
        facts = NodeFacts(
            engine=part.engine,
            opened=part.opened,
            process=this_process(part.node),
            flush_times=RecentTimes(Histogram()),
            metrics=self.metrics,
            is_in_front_door=lambda: True,
        )
        self.front_end = FrontEnd(part.store, Recorder("storage", f"node-{part.node}", settings))
        keeper = Keeper(
            engine=part.engine,
            peers=part.peers,
            store=part.store,
            faults=self.faults,
            memory=self.memory,
            configuration=Configuration(Served(part.opened.core, part.cache, self.front_end)),
        )
        self.vitals = Vitals(
            loop, replica=part.opened.core.replica, peers=part.peers, metrics=self.metrics
        )
        self.vitals.start()
        self.admin = AdminServer(
            token=TOKEN, routes={("GET", "/status"): facts.status, **keeper.routes()}
        )

    def close(self) -> None:
        self.admin.close()
        self.vitals.stop()
        self.front_end.hashing.shutdown()
        self.faults.close()
        self.memory.close()


class KeptNodes:
    """Three of them. `ask` runs a blocking call of the client beside the loop."""

    def __init__(self, home: Path, *, drills: bool = True) -> None:
        (home / "secrets").mkdir(exist_ok=True)
        (home / "secrets" / "admin.token").write_text(TOKEN)
        self.settings = Settings.from_environment(
            {
                "HOLDFAST_HOME": str(home),
                "HOLDFAST_NODE_PORT_BASE": str(free_port_base()),
                "HOLDFAST_DRILLS": str(int(drills)),
            }
        )
        self.client = FleetClient(self.settings)
        self.parts = Parts(home)
        self.kept: dict[int, Kept] = {}

    async def start(self, *nodes: int) -> None:
        self.parts.start(*nodes)
        for node in nodes:
            kept = self.kept[node] = Kept(self.parts.parts[node], self.settings)
            await kept.admin.start("127.0.0.1", self.settings.admin_port(node))

    async def crash(self, *nodes: int) -> None:
        for node in nodes:
            self.kept.pop(node).close()
        await self.parts.crash(*nodes)

    async def ask(self, function: Callable[..., Value], *values: Any, **named: Any) -> Value:
        return await asyncio.get_running_loop().run_in_executor(
            None, lambda: function(*values, **named)
        )

    @property
    def leader(self) -> Part:
        return self.parts.leader


def play_kept(
    home: Path, story: Callable[[KeptNodes], Awaitable[None]], *, drills: bool = True
) -> None:
    """A story about three nodes that agree on a leader, and all are ended after it."""

    async def run() -> None:
        nodes = KeptNodes(home, drills=drills)
        await nodes.start(0, 1, 2)
        await nodes.parts.ready()
        await story(nodes)
        await nodes.crash(*list(nodes.kept))
        # An admin connection lingers until it has seen its client's end.
        await until(lambda: len(asyncio.all_tasks()) == 1, "all connections are closed")

    play(run)
