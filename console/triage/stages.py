"""Whose time it was: each request's wall time, told apart by stage and node, exclusively.

Pure. A node's own stages add up to the request. But a write that came in by a follower spends its
time in that follower's `forward`, which hides the leader's queue, append, flush and quorum, and the
leader's `quorum` hides the disk of the follower that decided. The kept trace has all of these, laid
on one clock. So time is given to the innermost stage that was running: the deciding follower's
inside `quorum`, the leader's inside `forward` or `barrier`, the request's own otherwise (the method
of critical paths; children that overflow their parent are clamped).

Slow requests are kept far more often than quick ones. A mean over kept ones would be a mean of slow
ones, so both strata are averaged apart and weighed by how many requests there really were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from console.triage.evidence import Evidence, Request
from console.triage.findings import Bars, Part
from console.triage.robust import known
from telemetry import names

LIMIT_MS: Mapping[str, float] = {names.KIND_WRITE: 50.0, names.KIND_READ: 20.0}
PARTS_MAX = 8
PART_SHARE_MIN = 0.02
QUORUM = names.STAGE_NAMES[names.QUORUM]
PEER = "peer_"
PEER_FLUSH = names.STAGE_NAMES[names.PEER_FLUSH]
HIDING = frozenset(names.STAGE_NAMES[stage] for stage in (names.FORWARD, names.BARRIER))
WHERE = {"writes": names.KIND_WRITE, "reads": names.KIND_READ}

Place = tuple[str, str]
"""A stage and the node it ran on."""


class Stage(NamedTuple):
    """One interval of one request, in nanoseconds."""

    stage: str
    node: str
    start_ns: int
    end_ns: int


def exclusive(
    front: str, start_ns: int, end_ns: int, stages: Sequence[Stage]
) -> dict[Place, float]:
    """Milliseconds by place; together the request's wall time."""
    decider = _decider(stages)
    ranked = [(rank, each) for each in stages if (rank := _rank(each, front, decider)) is not None]
    edges = {start_ns, end_ns}
    for _, each in ranked:
        edges |= {max(start_ns, min(edge, end_ns)) for edge in (each.start_ns, each.end_ns)}
    spent: dict[Place, float] = {}
    cuts = sorted(edges)
    for begin, end in pairwise(cuts):
        running = [
            (rank, each) for rank, each in ranked if each.start_ns < end and each.end_ns > begin
        ]
        place = _innermost(running)
        spent[place] = spent.get(place, 0.0) + (end - begin) / 1e6
    return spent


def _decider(stages: Iterable[Stage]) -> str:
    """The follower whose flush came first: with the leader's it made the quorum."""
    flushes = [each for each in stages if each.stage == PEER_FLUSH]
    return min(flushes, key=lambda each: each.end_ns).node if flushes else ""


def _rank(each: Stage, front: str, decider: str) -> int | None:
    """How deep inside the request a stage lies; None: it didn't hold the request up."""
    if each.stage.startswith(PEER):
        return 3 if each.node == decider else None
    if each.stage == QUORUM:
        return 2
    return 0 if each.node == front else 1


def _innermost(running: Sequence[tuple[int, Stage]]) -> Place:
    own = [each for rank, each in running if rank == 0]
    deeper = [(rank, each) for rank, each in running if rank > 0]
    waits = any(each.stage == QUORUM for _, each in running)
    if not waits:
        deeper = [(rank, each) for rank, each in deeper if rank != 3]
    # A stage of the leader counts where the request waited for the leader, or led there itself.
    if deeper and (not own or own[0].stage in HIDING):
        _, each = max(deeper, key=lambda pair: pair[0])
        return each.stage, each.node
    if own:
        return own[-1].stage, own[-1].node
    return "unexplained", ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """Mean time by place, normally and now, of one kind of request."""

    kind: str
    normal: Mapping[Place, float]
    now: Mapping[Place, float]

    @property
    def added_ms(self) -> float:
        return sum(self.now.values()) - sum(self.normal.values())

    def added(self) -> list[tuple[Place, float]]:
        """What each place added, most first, in milliseconds."""
        places = set(self.normal) | set(self.now)
        grown = [(each, self.now.get(each, 0.0) - self.normal.get(each, 0.0)) for each in places]
        return sorted(grown, key=lambda pair: (-pair[1], pair[0]))

    def share(self, place: Place) -> float:
        """A place's share of the added time, from 0 to 1."""
        grown = self.now.get(place, 0.0) - self.normal.get(place, 0.0)
        added = sum(max(0.0, ms) for _, ms in self.added())
        return max(0.0, grown) / added if added > 0 else 0.0


def diffs(evidence: Evidence) -> list[Diff]:
    """One for writes, one for reads, the one with more added time first."""
    found = []
    for kind in (names.KIND_WRITE, names.KIND_READ):
        normal = _mean(evidence, kind, evidence.requests_normal, evidence.normal, ())
        now = _mean(evidence, kind, evidence.requests_now, evidence.now, evidence.requests_normal)
        if normal and now:
            found.append(Diff(kind=kind, normal=normal, now=now))
    return sorted(found, key=lambda diff: -diff.added_ms)


def _mean(
    evidence: Evidence,
    kind: str,
    requests: Sequence[Request],
    window: tuple[int, int],
    instead: Sequence[Request],
) -> dict[Place, float]:
    """Mean time by place over all requests of a window, from the kept ones of each stratum.

    `instead`: the quick ones to take where none of this window was drawn.
    """
    of_kind = [each for each in requests if each.kind == kind]
    slow = [each for each in of_kind if each.ms > LIMIT_MS[kind] or each.is_failed]
    quick = [each for each in of_kind if each.is_random and each.ms <= LIMIT_MS[kind]]
    if not quick:
        quick = [
            each
            for each in instead
            if each.kind == kind and each.is_random and each.ms <= LIMIT_MS[kind]
        ]
    slow_share = _slow_share(evidence, kind, window)
    if not slow or not quick:
        return _average(slow or quick)
    means = _average(slow), _average(quick)
    return {
        place: slow_share * means[0].get(place, 0.0) + (1 - slow_share) * means[1].get(place, 0.0)
        for place in set(means[0]) | set(means[1])
    }


def _slow_share(evidence: Evidence, kind: str, window: tuple[int, int]) -> float:
    """Which part of all requests of a kind was over its limit."""
    column = "writes" if kind == names.KIND_WRITE else "reads"
    total = slow = 0.0
    for node in evidence.seconds.nodes:
        total += sum(known(evidence.seconds.window(node, column, window)))
        slow += sum(known(evidence.seconds.window(node, f"slow_{column}", window)))
    return min(1.0, slow / total) if total else 0.5


def _average(requests: Sequence[Request]) -> dict[Place, float]:
    total: dict[Place, float] = {}
    for each in requests:
        for place, ms in each.parts.items():
            total[place] = total.get(place, 0.0) + ms / len(requests)
    return total


def bars(diff: Diff) -> Bars:
    """The two bars of a page, in the order of a request, small parts put together."""
    whole = max(sum(diff.normal.values()), sum(diff.now.values()), 1e-9)
    shown = [
        place
        for place in sorted(set(diff.normal) | set(diff.now), key=_order)
        if max(diff.normal.get(place, 0.0), diff.now.get(place, 0.0)) >= PART_SHARE_MIN * whole
    ]
    longest = sorted(shown, key=lambda p: -max(diff.normal.get(p, 0.0), diff.now.get(p, 0.0)))
    kept = [place for place in shown if place in longest[:PARTS_MAX]]
    place, _ = diff.added()[0]
    where = f"{place[0]} on {place[1]}" if place[1] else place[0]
    return Bars(
        operation="writes" if diff.kind == names.KIND_WRITE else "reads",
        normal=_parts(diff.normal, kept),
        now=_parts(diff.now, kept),
        sentence=f"{100 * diff.share(place):.0f} % of the added time is {where}",
    )


def _parts(means: Mapping[Place, float], kept: Sequence[Place]) -> tuple[Part, ...]:
    parts = [
        Part(stage=place[0], node=place[1], ms=round(means.get(place, 0.0), 3)) for place in kept
    ]
    rest = sum(ms for place, ms in means.items() if place not in kept)
    if rest > 0.001:
        parts.append(Part(stage="others", node="", ms=round(rest, 3)))
    return tuple(part for part in parts if part.ms > 0)


def _order(place: Place) -> tuple[int, str]:
    stage, node = place
    order = names.STAGE_NAMES.index(stage) if stage in names.STAGE_NAMES else names.STAGE_COUNT
    return order, node
