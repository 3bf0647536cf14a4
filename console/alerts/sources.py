"""What the watch looks at: nodes, telemetry, the canary, the objectives' file, drills.

Each has a poller of its own; `gather` puts their last answers into one value and asks nobody.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from console.alerts.canary import Canary
from console.alerts.pollers import Poller
from runbooks.drills import mark
from storage_core.client import FleetClient, NodeStatus
from telemetry.client import QueryClient
from telemetry.config import Settings
from telemetry.slo import objectives as objectives_file
from telemetry.slo.burn import seconds_of
from telemetry.slo.counts import Second
from telemetry.slo.fleet_rules import CanarySeen, FleetSeen, NodeSeen
from telemetry.slo.judge import Drill, Gathered, NodeTotals
from telemetry.slo.objectives import Objectives

ANSWER_S_MAX = 0.8
SECONDS_FIRST = 700
"""Asked for at the start and after a silence; telemetry answers at most 720 steps at once."""
SECONDS_AGAIN = 10
"""Asked for each second; reports of a second may come this late."""
FILES_EVERY_S = 2.0
CANARY_STALE_MS = 10_000
DRILL_STALE_MS = 5_000


class Sources(Protocol):
    """What the watch needs; the tests have a twin."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def gather(self, now_ms: int) -> Gathered: ...

    def objectives(self) -> Objectives: ...


class Rings:
    """Telemetry's counts: all it has at first, afterwards only what is new."""

    def __init__(self, settings: Settings, wanted: Poller[Objectives]) -> None:
        self._query = QueryClient(settings, timeout_s=ANSWER_S_MAX)
        self._wanted = wanted
        self._asked: tuple[float, float] | None = None
        self._settings = settings

    def ask(self) -> tuple[tuple[Second, ...], Mapping[str, int]]:
        """Seconds, oldest first, and when each node was last heard."""
        wanted = self._wanted.answer
        write_ms = wanted[0].write_ms if wanted else None
        read_ms = wanted[0].read_ms if wanted else None
        limits = (
            write_ms or float(self._settings.slow_write_ms),
            read_ms or float(self._settings.slow_read_ms),
        )
        seconds = SECONDS_AGAIN if self._asked == limits else SECONDS_FIRST
        self._asked = None
        found = self._query.objectives(
            seconds=seconds, step=1, write_ms=limits[0], read_ms=limits[1]
        )
        self._asked = limits
        return seconds_of(found["counts"]), found["sources"]


class FleetSources:
    """The real ones."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files: Poller[Objectives] = Poller(
            "objectives", self._read_objectives, every_s=FILES_EVERY_S
        )
        client = FleetClient(settings)
        self._nodes: list[Poller[NodeStatus]] = [
            Poller(f"node-{node}", partial(client.status, node, ANSWER_S_MAX))
            for node in range(settings.nodes)
        ]
        self._rings = Poller("telemetry", Rings(settings, self._files).ask)
        self._canary: Poller[CanarySeen | None] = Poller("canary", Canary(settings).beat)
        self._drill: Poller[Drill | None] = Poller("drill", partial(_drill_of, settings))
        self._built_in = objectives_file.effective(settings)
        self._taken_ms = 0

        once = (self._files, self._rings, self._canary, self._drill)
        self._pollers: Sequence[Poller[Any]] = (*once, *self._nodes)

    def start(self) -> None:
        for poller in self._pollers:
            poller.start()

    def stop(self) -> None:
        for poller in self._pollers:
            poller.stop()

    def objectives(self) -> Objectives:
        answer = self._files.answer
        return self._built_in if answer is None else answer[0]

    def _read_objectives(self) -> Objectives:
        answer = self._files.answer
        before = answer[0] if answer else None
        return objectives_file.effective(self._settings, before)

    def gather(self, now_ms: int) -> Gathered:
        """The last answers."""
        nodes, totals = [], {}
        for number, poller in enumerate(self._nodes):
            name = f"node-{number}"
            nodes.append(_node_seen(name, poller.answer))
            if poller.answer is not None:
                status = poller.answer[0]
                totals[name] = NodeTotals(
                    reads=status.requests_read,
                    writes=status.requests_write,
                    failed=status.requests_failed,
                )
        rings, canary, drill = self._rings.answer, self._canary.answer, self._drill.answer
        seen = FleetSeen(
            now_ms=now_ms,
            nodes=nodes,
            telemetry_answered_ms=rings[1] if rings else None,
            heard_ms=rings[0][1] if rings else {},
            canary=canary[0] if canary and now_ms - canary[1] <= CANARY_STALE_MS else None,
        )
        seconds: tuple[Second, ...] = ()
        if rings is not None and rings[1] != self._taken_ms:
            seconds, self._taken_ms = rings[0][0], rings[1]
        return Gathered(
            fleet=seen,
            seconds=seconds,
            totals=totals,
            objectives=self.objectives().rows,
            drill=drill[0] if drill and now_ms - drill[1] <= DRILL_STALE_MS else None,
        )


def _drill_of(settings: Settings) -> Drill | None:
    """The drill under way, by its mark."""
    found = mark.active(settings.run)
    return Drill(run=str(found.run_id), since_ms=found.since_ms) if found else None


def _node_seen(name: str, answer: tuple[NodeStatus, int] | None) -> NodeSeen:
    if answer is None:
        return NodeSeen(name=name, answered_ms=None)
    status, answered_ms = answer
    return NodeSeen(
        name=name,
        answered_ms=answered_ms,
        role=status.role,
        term=status.term,
        leader="" if status.leader is None else f"node-{status.leader}",
        commit_index=status.commit_index,
        last_index=status.last_index,
        matches={f"node-{peer}": told.match_index for peer, told in status.peers.items()},
        crashed_ms=answered_ms - int(status.uptime_s * 1000) if status.follows_crash else None,
    )
