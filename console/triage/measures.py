"""What a symptom is, and how one is measured: curves, contrasts, questions. Pure.

Read next: `symptoms`, which says what is odd about a node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from console.triage.evidence import Curve, Evidence, Point, Window
from console.triage.findings import Line, Points, Question
from console.triage.limits import POINTS_MAX
from console.triage.robust import known, median, quantile

STEP_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """`strength` from 0 to 1; None: the signal behind it is missing."""

    strength: float | None
    line: Line = field(default_factory=lambda: Line(sentence=""))


UNSEEN = Symptom(strength=None)
Symptoms = Mapping[str, Symptom]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A node's figure now, before, and its peers' now."""

    value: float
    usual: float
    peers: float


def contrast(
    evidence: Evidence,
    metric: str,
    node: str,
    read: Callable[[Point], float | None],
    share: float = 0.75,
) -> Contrast | None:
    """A quantile of a metric's steps, here and beside; None if not exported. Before, it is their
    median: the normal time may hold an earlier fault, which must not become what is usual.
    """

    def level(of: str, window: Window, share: float) -> float | None:
        curve = evidence.curve(metric, of)
        if curve is None:
            return None
        # A step belongs to the window that it begins in; the onset's own step is the fault's.
        inside = [p for p in curve.points if window[0] - STEP_S * 1000 < p.at_ms < window[1]]
        values = known(read(point) for point in inside)
        return quantile(values, share) if values else None

    value = level(node, evidence.now, share)
    if value is None:
        return None
    peers = known(level(other, evidence.now, share) for other in evidence.names if other != node)
    return Contrast(
        value=value,
        usual=level(node, evidence.normal, 0.5) or 0.0,
        peers=median(peers) if peers else 0.0,
    )


def ask_points(evidence: Evidence, metric: str, by: str = "") -> Question:
    """The question of the query port whose answer is this metric around the onset."""
    return Question(
        ask="points",
        params={
            "name": metric,
            "since_ms": max(evidence.normal[0], evidence.now[0] - 300_000),
            "until_ms": evidence.now[1] + 60_000,
            "step": STEP_S,
            "by": by,
        },
    )


def curve_points(curve: Curve | None, read: Callable[[Point], float | None]) -> Points:
    return () if curve is None else thin((point.at_ms, read(point)) for point in curve.points)


def thin(series: Iterable[tuple[int, float | None]]) -> Points:
    """The newest values at the width of a drawn curve, the highest of each stretch."""
    points = list(series)
    stride = max(1, -(-len(points) // POINTS_MAX))
    found = []
    for at in range(0, len(points), stride):
        chunk = points[at : at + stride]
        values = known(value for _, value in chunk)
        found.append((chunk[0][0], round(max(values), 4) if values else None))
    return tuple(found)
