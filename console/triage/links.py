"""Who can't hear whom: the matrix of pairs, and the node in whose row and column it is dark.

Pure. Each node says whom it is connected to and whom it follows, and each counts the heartbeats of
its peers that were due and didn't come. A node is cut off when most of what is known of its own
pairs is bad while the pairs of the others are fine; if all pairs are bad it is the network, not a
node. One way or both ways is told from who still hears: an isolated node that speaks and isn't
answered looks different from one that is deaf. A node that is silent to telemetry as well is not
cut off: it is stopped or gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from console.triage.evidence import Evidence, Point, Window
from console.triage.robust import ramp
from telemetry import names

MISSED_A_SECOND_LOW = 0.4
MISSED_A_SECOND_HIGH = 2.0
OUTSIDE = 0.8
"""How bad the pairs of a node are that the others' vote went on without."""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How far a node is cut off, from 0 to 1."""

    strength: float
    sentence: str


def of(evidence: Evidence, node: str) -> Cut | None:
    """None: nothing is known of any pair."""
    pairs = matrix(evidence)
    own = {pair: bad for pair, bad in pairs.items() if node in pair}
    rest = {pair: bad for pair, bad in pairs.items() if node not in pair}
    if not own:
        return None
    strength = max(0.0, _mean(own) - _mean(rest))
    if strength < 0.2:
        return Cut(strength=strength, sentence=f"{node} hears its peers and is heard")
    told = ", ".join(f"{a} to {b}" for (a, b), bad in sorted(own.items()) if bad > 0.5)
    fine = "; the others hear each other" if rest and _mean(rest) < 0.2 else ""
    return Cut(strength=min(1.0, strength), sentence=f"Broken: {told or node}{fine}")


def matrix(evidence: Evidence) -> dict[Pair, float]:
    """How bad each directed pair is, from 0 to 1: heartbeats missed, or no connection."""
    found: dict[Pair, float] = {}
    for status in evidence.nodes:
        if not status.is_reachable:
            continue
        for peer, is_connected in status.connected.items():
            found[status.node, peer] = 0.0 if is_connected else 0.8
    for node in outsiders(evidence):
        for other in evidence.names:
            if other != node:
                found[other, node] = max(found.get((other, node), 0.0), OUTSIDE)
                found[node, other] = max(found.get((node, other), 0.0), OUTSIDE)
    for curve in evidence.curves_of(names.PEER_HEARTBEATS_MISSED.name):
        peer = peer_name(curve.of)
        now = _rate(curve.points, evidence.now)
        usual = _rate(curve.points, evidence.normal)
        bad = ramp(now - usual, MISSED_A_SECOND_LOW, MISSED_A_SECOND_HIGH)
        pair = (curve.node, peer)
        found[pair] = max(found.get(pair, 0.0), bad)
    return found


def outsiders(evidence: Evidence) -> list[str]:
    """Nodes that answer, and follow nobody or another leader than most do: the vote went on
    without them."""
    views = {each.node: (each.leader, each.term) for each in evidence.nodes if each.is_reachable}
    if len(views) < len(evidence.nodes) or len(views) < 3:
        return []
    usual, count = Counter(views.values()).most_common(1)[0]
    if count <= len(views) / 2 or not usual[0]:
        return []
    return [node for node, view in views.items() if view != usual]


def peer_name(of: str) -> str:
    """Peers are told by name or by number."""
    return f"node-{of}" if of.isdecimal() else of


def _rate(points: Sequence[Point], window: Window) -> float:
    """Missed a second, over the worst 10 s of the window: a cut may have healed by now."""
    totals = [point.total for point in points if window[0] - 5_000 < point.at_ms < window[1]]
    if not totals:
        return 0.0
    worst = sorted(totals)[-2:]
    return sum(worst) / (5.0 * len(worst))


def _mean(pairs: dict[Pair, float]) -> float:
    return sum(pairs.values()) / len(pairs) if pairs else 0.0
