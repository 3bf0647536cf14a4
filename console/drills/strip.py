"""The operation strip: every operation of a drill a mark over one time axis, who led below. Pure.

x is time, y is latency on a log scale. A good operation is a dot, a failed one a cross, one of
unknown outcome a diamond. Above DOTS_MAX good operations only an even share of them is drawn;
failures are always drawn singly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runbooks.drills.history import Operation, Outcome

WIDTH, HEIGHT, LANE_Y = 1200, 240, 224
PLOT_BOTTOM = 208
DOTS_MAX = 3_000
FAILED_MAX = 600
LOW_MS, HIGH_MS = 0.5, 10_000.0
LANE_NODES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    x: float
    width: float
    text: str
    node: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Geometry for the template; `gap` is the bracket over the outage of writes."""

    dots: Sequence[Mark]
    failed: Sequence[Mark]
    unknown: Sequence[Mark]
    fault: Band | None
    gap: Band | None
    lane: Sequence[Band]
    times: Sequence[Tick]
    latencies: Sequence[Tick]
    shown: int
    total: int


def strip_of(
    operations: Sequence[Operation], events: Sequence[Mapping[str, object]], *, gap_ms: float | None
) -> Strip:
    """Lay out what the histories say."""
    end_ms = max((number(event, "t_ms") for event in events), default=0.0)
    begin_ms = next((number(e, "t_ms") for e in events if e["event"] == "calm"), 0.0)
    span_ms = max(1.0, end_ms - begin_ms)

    def x(time_ms: float) -> float:
        return round(min(max((time_ms - begin_ms) / span_ms, 0.0), 1.0) * WIDTH, 1)

    sorted_ops: dict[str, list[Mark]] = {"ok": [], "fail": [], "info": []}
    for op in operations:
        if op.invoked_us / 1000 < begin_ms or op.path == "read-back":
            continue
        kind = "ok" if op.was_served else op.outcome.value
        took = (op.latency_us or 0) / 1000 if op.outcome is not Outcome.INFO else HIGH_MS
        title = f"{op.kind.value} {op.key} through {op.path}: {op.error or f'{took:.1f} ms'}"
        sorted_ops[kind].append(Mark(x=x(op.invoked_us / 1000), y=_y(took), title=title))
    good = sorted_ops["ok"]
    every = max(1, -(-len(good) // DOTS_MAX))
    faults = {str(e["event"]): number(e, "t_fault_ms", "t_ms") for e in events}
    fault = faults.get("fault")
    healed = faults.get("healing", end_ms)
    return Strip(
        dots=good[::every],
        failed=sorted_ops["fail"][:FAILED_MAX],
        unknown=sorted_ops["info"],
        fault=None if fault is None else Band(x=x(fault), width=x(healed) - x(fault), text="fault"),
        gap=_gap(x, fault, gap_ms),
        lane=_lane(events, x, end_ms),
        times=[
            Tick(at=x(begin_ms + second * 1000), text=f"{second} s")
            for second in range(0, int(span_ms / 1000) + 1, 5)
        ],
        latencies=[
            Tick(at=_y(ms), text=text)
            for ms, text in ((1, "1"), (100, "100"), (10_000, "10,000 ms"))
        ],
        shown=len(good[::every]),
        total=sum(len(marks) for marks in sorted_ops.values()),
    )


def number(event: Mapping[str, object], *names: str) -> float:
    """The first of these fields that is a number."""
    for name in names:
        value = event.get(name)
        if isinstance(value, int | float):
            return float(value)
    return 0.0


def _y(ms: float) -> float:
    share = math.log(max(ms, LOW_MS) / LOW_MS) / math.log(HIGH_MS / LOW_MS)
    return round(PLOT_BOTTOM - min(share, 1.0) * (PLOT_BOTTOM - 16), 1)


def _gap(x: object, fault: float | None, gap_ms: float | None) -> Band | None:
    if fault is None or not gap_ms or not callable(x):
        return None
    return Band(x=x(fault), width=max(2.0, x(fault + gap_ms) - x(fault)), text=f"{gap_ms:.0f} ms")


def _lane(events: Sequence[Mapping[str, object]], x: object, end_ms: float) -> Sequence[Band]:
    assert callable(x), "the scale"
    leads = [event for event in events if event["event"] == "leader"]
    bands = []
    for event, following in zip(leads, [*leads[1:], {"t_ms": end_ms}], strict=True):
        start, end = x(number(event, "t_ms")), x(number(following, "t_ms"))
        node = int(number(event, "node"))
        text = f"node-{node}, term {int(number(event, 'term'))}"
        bands.append(Band(x=start, width=max(0.0, end - start), text=text, node=node % LANE_NODES))
    return bands
