"""What triage looks at: one value with everything that was seen, each part of which may be missing.

Pure. `gather` fills it from telemetry's query port, the nodes' admin ports, the supervisor and the
book of changes; `diagnose` reads it and nothing else, so a diagnosis can be repeated from a file
years later. A part that did not answer is empty here and has its line in `missing`: absence of
evidence must never look like evidence of absence. What was done to the fleet on purpose is in none
of it.

Times are Unix; seconds are columns that begin at `start_s`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from console.triage.findings import Silence

Column = Sequence[float | None]
Window = tuple[int, int]
"""Start and end in Unix milliseconds, the end excluded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """Every second of every node. None: the node was not heard in that second."""

    start_s: int = 0
    nodes: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return max((len(each["writes"]) for each in self.nodes.values()), default=0)

    def window(self, node: str, column: str, window: Window) -> Column:
        """One column between two moments."""
        first, last = (moment // 1000 - self.start_s for moment in window)
        return self.nodes.get(node, {}).get(column, ())[max(0, first) : max(0, last)]

    def series(self, node: str, column: str) -> Iterator[tuple[int, float | None]]:
        """(Unix ms, value) of one column."""
        for at, value in enumerate(self.nodes.get(node, {}).get(column, ())):
            yield (self.start_s + at) * 1000, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One step of one metric. Quantiles are milliseconds, `total` and `last` the metric's unit."""

    at_ms: int
    count: int
    total: float
    last: float
    p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One metric of one node, or of one value of an attribute on that node (`of`)."""

    metric: str
    node: str
    of: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeNow:
    """What a node says of itself now; `why` says why it didn't, and then the rest is empty."""

    node: str
    why: str = ""
    role: str = ""
    term: int = 0
    leader: str = ""
    uptime_s: float = 0.0
    commit_index: int = 0
    applied_index: int = 0
    is_drained: bool = False
    connected: Mapping[str, bool] = field(default_factory=dict)
    lag_entries: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_reachable(self) -> bool:
        return not self.why


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessNow:
    """One part in the supervisor's registry."""

    name: str
    state: str
    since_ms: int
    restarts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSeen:
    """Something that was changed, by whom ever."""

    at_ms: int
    source: str
    kind: str
    title: str
    entity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One kept request. `parts` is its time by (stage, node), exclusive, in milliseconds."""

    trace_id: str
    at_ms: int
    ms: float
    operation: str
    kind: str
    node: str
    is_failed: bool
    is_random: bool
    attributes: Mapping[str, str]
    parts: Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that was seen. `normal` and `now` are the windows that are compared."""

    taken_ms: int
    onset_ms: int | None
    normal: Window
    now: Window
    seconds: Seconds = field(default_factory=Seconds)
    curves: tuple[Curve, ...] = ()
    nodes: tuple[NodeNow, ...] = ()
    processes: tuple[ProcessNow, ...] = ()
    changes: tuple[ChangeSeen, ...] = ()
    requests_normal: tuple[Request, ...] = ()
    requests_now: tuple[Request, ...] = ()
    missing: tuple[Silence, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes that anything is known of."""
        known = set(self.seconds.nodes) | {node.node for node in self.nodes}
        return tuple(sorted(name for name in known if name.startswith("node-")))

    def status(self, node: str) -> NodeNow | None:
        return next((each for each in self.nodes if each.node == node), None)

    def process(self, name: str) -> ProcessNow | None:
        return next((each for each in self.processes if each.name == name), None)

    def curves_of(self, metric: str) -> tuple[Curve, ...]:
        return tuple(curve for curve in self.curves if curve.metric == metric)

    def curve(self, metric: str, node: str) -> Curve | None:
        found = [each for each in self.curves_of(metric) if each.node == node]
        return found[0] if found else None
