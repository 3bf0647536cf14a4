"""Made-up evidence for tests of one rule at a time: three nodes, a quiet stretch, then a change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from console.triage.evidence import Curve, Evidence, NodeNow, Point, ProcessNow, Request, Seconds
from console.triage.measures import STEP_S
from telemetry import names

START_S = 1_795_492_000
QUIET_S = 120
HURT_S = 20
ONSET_MS = (START_S + QUIET_S) * 1000
END_MS = ONSET_MS + HURT_S * 1000
NODES = ("node-0", "node-1", "node-2")
STEADY: Mapping[str, float] = {
    "reads": 12.0,
    "writes": 8.0,
    "failed": 0.0,
    "slow_reads": 0.0,
    "slow_writes": 0.0,
    "read_p50_ms": 1.0,
    "read_p99_ms": 4.0,
    "write_p50_ms": 4.0,
    "write_p99_ms": 12.0,
    "flush_p50_ms": 1.0,
    "flush_p99_ms": 4.0,
}


def scatter(at: int) -> float:
    """A steady series that is not constant: within 10 % of 1, the same each time."""
    return 1.0 + 0.1 * (((at * 7919) % 13) - 6) / 6


def make_seconds(
    hurt: Mapping[str, Mapping[str, float | None]] | None = None, total_s: int = QUIET_S + HURT_S
) -> Seconds:
    """Steady columns; `hurt` sets columns of a node from the onset on. "silent" makes all None."""
    nodes = {}
    for node in NODES:
        changed = (hurt or {}).get(node, {})
        columns: dict[str, tuple[float | None, ...]] = {}
        for name, steady in STEADY.items():
            values: list[float | None] = []
            for at in range(total_s):
                value: float | None = steady * scatter(at)
                if at >= QUIET_S and name in changed:
                    value = changed[name]
                if at >= QUIET_S and changed.get("silent"):
                    value = None
                values.append(value)
            columns[name] = tuple(values)
        nodes[node] = columns
    return Seconds(start_s=START_S, nodes=nodes)


def make_curve(
    metric: names.Metric, node: str, value: Callable[[bool], float], of: str = ""
) -> Curve:
    """One point a step; `value` is told whether the step is after the onset."""
    points = []
    for at_ms in range(START_S * 1000, END_MS, STEP_S * 1000):
        figure = value(at_ms >= ONSET_MS)
        points.append(
            Point(at_ms=at_ms, count=round(figure), total=figure, last=figure, p99=figure)
        )
    return Curve(metric=metric.name, node=node, of=of, points=tuple(points))


def make_node(node: str, **changed: object) -> NodeNow:
    facts: dict[str, object] = {
        "node": node,
        "role": "leader" if node == "node-1" else "follower",
        "term": 4,
        "leader": "node-1",
        "uptime_s": 5000.0,
        "connected": {other: True for other in NODES if other != node},
    }
    return NodeNow(**(facts | changed))  # type: ignore[arg-type]


def make_request(
    *, at_ms: int, parts: Mapping[tuple[str, str], float], **changed: object
) -> Request:
    fields: dict[str, object] = {
        "trace_id": f"{at_ms:032x}",
        "at_ms": at_ms,
        "ms": sum(parts.values()),
        "operation": "PutBlob",
        "kind": names.KIND_WRITE,
        "node": "node-0",
        "is_failed": False,
        "is_random": True,
        "attributes": {},
        "parts": parts,
    }
    return Request(**(fields | changed))  # type: ignore[arg-type]


def make_evidence(**changed: object) -> Evidence:
    """A healthy fleet led by node-1, seen HURT_S after an onset that may be nothing."""
    steady = Evidence(
        taken_ms=END_MS,
        onset_ms=ONSET_MS,
        normal=(START_S * 1000, ONSET_MS - 10_000),
        now=(ONSET_MS - 3_000, END_MS),
        seconds=make_seconds(),
        nodes=tuple(make_node(node) for node in NODES),
        processes=tuple(
            ProcessNow(name=node, state="running", since_ms=START_S * 1000 - 5_000_000, restarts=0)
            for node in NODES
        ),
        curves=tuple(
            curve
            for node in NODES
            for curve in (
                make_curve(names.LOOP_DELAY, node, lambda _: 2.0),
                make_curve(names.PROCESS_CPU, node, lambda _: 1_000_000.0),
                make_curve(names.LOOP_RUN_QUEUE, node, lambda _: 20_000.0),
                make_curve(names.ACCOUNT_DURATION, node, lambda _: 100.0, "demo"),
            )
        ),
    )
    return replace(steady, **changed)  # type: ignore[arg-type]


def with_curve(evidence: Evidence, *curves: Curve) -> Evidence:
    """Put these in place of those of the same metric, node and value."""
    given = {(each.metric, each.node, each.of) for each in curves}
    kept = [each for each in evidence.curves if (each.metric, each.node, each.of) not in given]
    return replace(evidence, curves=(*kept, *curves))
