"""Rules about the fleet itself, beside its objectives: who answers, who can vote, who is silent.

Requests that never arrive are in no count, so an outage may look like a quiet night. These rules
tell them apart: no node answers; fewer nodes than there are can vote; the canary's own requests
fail. And they keep blindness from looking like health or like an outage: telemetry that doesn't
answer, and a node that sends it nothing, are alerts of their own and never a broken objective.

One trouble is told once: where no node answers, neither the vote nor the canary is news. Nothing
is told before the fleet was seen healthy once, or ARMED_AFTER_MS after the watch began, so that a
start is not an incident. Every rule holds its breath for longer than a restart takes. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from telemetry.slo.alerts import PAGE, TICKET, Condition

ARMED_AFTER_MS: Final = 60_000
UNREACHABLE_MS: Final = 8_000
REDUNDANCY_MS: Final = 10_000
CANARY_MS: Final = 8_000
CANARY_FAILURES_MIN: Final = 3
SILENT_MS: Final = 10_000
"""A node sends a batch each second; ten missing ones are not a hiccup."""
TELEMETRY_MS: Final = 15_000
"""A restart of the telemetry process takes less."""
CRASH_TOLD_MS: Final = 15_000
"""A node that came back is news for so long; it is over then, whatever killed it."""
FRESH_MS: Final = 2_500
"""Who answered within this time answers: each is asked every second."""
BEHIND_MS: Final = 3_000
"""A voter that keeps up has, by now, what was committed this long ago."""

UNREACHABLE: Final = "fleet-unreachable"
REDUNDANCY: Final = "redundancy"
CANARY: Final = "canary"
TELEMETRY: Final = "telemetry-down"
NO_DATA: Final = "no-data"
CRASHED: Final = "node-crashed"


class NodeSeen(NamedTuple):
    """A node's last answer. `answered_ms` is None if it never answered this watcher; `matches` is
    what it knows of the others' logs, which only a leader knows; `crashed_ms` is when it was
    started after a process that died, None if the one before left in order.
    """

    name: str
    answered_ms: int | None
    role: str = ""
    term: int = 0
    leader: str = ""
    commit_index: int = 0
    last_index: int = 0
    matches: Mapping[str, int] = {}
    crashed_ms: int | None = None


class CanarySeen(NamedTuple):
    """How the canary's requests went. `failing_since_ms` is None while the last one went well."""

    last_ok_ms: int | None
    failing_since_ms: int | None
    failures: int
    reason: str


class FleetSeen(NamedTuple):
    """Everything that was seen by `now_ms`. `heard_ms` is telemetry's word on when each node last
    reported; `canary` is None while it has no key.
    """

    now_ms: int
    nodes: Sequence[NodeSeen]
    telemetry_answered_ms: int | None
    heard_ms: Mapping[str, int]
    canary: CanarySeen | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What is true now, and which rules can't be judged."""

    conditions: tuple[Condition, ...]
    unseen: frozenset[str]
    voters: int | None  # nodes able to vote; None: nobody answers


class FleetRules:
    """Remembers since when each thing has been so."""

    def __init__(self, *, started_ms: int) -> None:
        self._started_ms = started_ms
        self._armed = False
        self._able_ms: dict[str, int] = {}
        self._commits: deque[tuple[int, int]] = deque(maxlen=16)
        self._telemetry_since_ms: int | None = None
        self._heard_ms: dict[str, int] = {}

    def judge(self, seen: FleetSeen) -> Verdicts:
        """One look."""
        now_ms = seen.now_ms
        able = self._able(seen)
        for name in able:
            self._able_ms[name] = now_ms
        canary_ok = seen.canary is None or seen.canary.failing_since_ms is None
        if len(able) == len(seen.nodes) and canary_ok:
            self._armed = True
        if now_ms - self._started_ms >= ARMED_AFTER_MS:
            self._armed = True
        telemetry = self._telemetry(seen)
        found: list[Condition] = list(telemetry)
        unreachable = self._unreachable(seen)
        if unreachable is not None:
            found.append(unreachable)
        else:
            found += [*self._redundancy(seen, able), *self._canary(seen)]
        if not telemetry:
            found += self._no_data(seen)
        found += _crashed(seen)
        return Verdicts(
            conditions=tuple(found) if self._armed else (),
            unseen=self._unseen(seen, telemetry_down=bool(telemetry)),
            voters=len(able) if any(_is_fresh(node, now_ms) for node in seen.nodes) else None,
        )

    def _unseen(self, seen: FleetSeen, *, telemetry_down: bool) -> frozenset[str]:
        unseen = {NO_DATA} if telemetry_down else set()
        if not any(_is_fresh(node, seen.now_ms) for node in seen.nodes):
            unseen |= {REDUNDANCY, CANARY}
        return frozenset(unseen)

    def _able(self, seen: FleetSeen) -> list[str]:
        """Nodes that can vote: they answer, agree who leads, and take what the leader sends."""
        fresh = [node for node in seen.nodes if _is_fresh(node, seen.now_ms)]
        leaders = [node for node in fresh if node.role == "leader"]
        if not leaders:
            return []
        # After a partition an old leader may still think it leads; the higher term is right.
        leader = max(leaders, key=lambda node: node.term)
        self._commits.append((seen.now_ms, leader.commit_index))
        old = [index for at_ms, index in self._commits if at_ms <= seen.now_ms - BEHIND_MS]
        needed = old[-1] if old else 0
        return [
            node.name
            for node in fresh
            if node is leader
            or (
                node.role == "follower"
                and node.term == leader.term
                and node.leader == leader.name
                and leader.matches.get(node.name, 0) >= needed
            )
        ]

    def _unreachable(self, seen: FleetSeen) -> Condition | None:
        last_ms = max(
            (n.answered_ms for n in seen.nodes if n.answered_ms is not None), default=None
        )
        since_ms = self._started_ms if last_ms is None else last_ms
        if not seen.nodes or seen.now_ms - since_ms < UNREACHABLE_MS:
            return None
        return Condition(
            rule=UNREACHABLE,
            tier="now",
            severity=PAGE,
            headline=f"No node answers: 0 of {len(seen.nodes)} for {_seconds(seen, since_ms)}",
            since_ms=since_ms,
            value=float(len(seen.nodes)),
        )

    def _redundancy(self, seen: FleetSeen, able: Sequence[str]) -> list[Condition]:
        missing = {
            node.name: self._able_ms.get(node.name, self._started_ms)
            for node in seen.nodes
            if node.name not in able
        }
        gone = {n: ms for n, ms in missing.items() if seen.now_ms - ms >= REDUNDANCY_MS}
        if not gone:
            return []
        total, left = len(seen.nodes), len(seen.nodes) - len(gone)
        since_ms = min(gone.values())
        names = ", ".join(sorted(gone))
        stuck = left <= total // 2
        what = "writes can't commit" if stuck else f"{names} can't"
        labels = {"nodes": names}
        return [
            Condition(
                rule=REDUNDANCY,
                tier="quorum" if stuck else "now",
                severity=PAGE,
                headline=f"Only {left} of {total} nodes can vote for {_seconds(seen, since_ms)}: "
                f"{what}",
                since_ms=since_ms,
                labels=labels,
                value=float(len(gone)),
                speed=int(stuck),
            )
        ]

    def _canary(self, seen: FleetSeen) -> list[Condition]:
        canary = seen.canary
        if canary is None or canary.failing_since_ms is None:
            return []
        if (
            seen.now_ms - canary.failing_since_ms < CANARY_MS
            or canary.failures < CANARY_FAILURES_MIN
        ):
            return []
        lasted = _seconds(seen, canary.failing_since_ms)
        return [
            Condition(
                rule=CANARY,
                tier="now",
                severity=PAGE,
                headline=f"The canary fails for {lasted}, {canary.failures} in a row: "
                f"{canary.reason}",
                since_ms=canary.failing_since_ms,
                value=None,
            )
        ]

    def _telemetry(self, seen: FleetSeen) -> list[Condition]:
        answered_ms = seen.telemetry_answered_ms
        is_up = answered_ms is not None and seen.now_ms - answered_ms <= FRESH_MS
        if is_up and self._telemetry_since_ms is None:
            self._telemetry_since_ms = seen.now_ms
        if not is_up:
            self._telemetry_since_ms = None
        since_ms = self._started_ms if answered_ms is None else answered_ms
        if seen.now_ms - since_ms < TELEMETRY_MS:
            return []
        return [
            Condition(
                rule=TELEMETRY,
                tier="now",
                severity=TICKET,
                headline=f"Telemetry doesn't answer for {_seconds(seen, since_ms)}: only the "
                "nodes' own counters are watched",
                since_ms=since_ms,
            )
        ]

    def _no_data(self, seen: FleetSeen) -> list[Condition]:
        """A node that answers us but sends telemetry nothing; a dead one is redundancy's. What
        telemetry heard before it was restarted is remembered here, since it begins with nothing.
        """
        for name, heard_ms in seen.heard_ms.items():
            self._heard_ms[name] = max(heard_ms, self._heard_ms.get(name, 0))
        up_ms = self._telemetry_since_ms
        if up_ms is None:
            return []
        found = []
        for node in seen.nodes:
            heard_ms = max(self._heard_ms.get(node.name, 0), up_ms, self._started_ms)
            if _is_fresh(node, seen.now_ms) and seen.now_ms - heard_ms >= SILENT_MS:
                lasted = _seconds(seen, heard_ms)
                found.append(
                    Condition(
                        rule=NO_DATA,
                        tier="now",
                        severity=TICKET,
                        headline=f"{node.name} answers but sent no telemetry for {lasted}",
                        since_ms=heard_ms,
                        labels={"node": node.name},
                    )
                )
        return found


def _crashed(seen: FleetSeen) -> list[Condition]:
    """Nodes that died a moment ago and are back. Often nobody noticed, and that is a reason to
    look at it by day.
    """
    return [
        Condition(
            rule=CRASHED,
            tier="now",
            severity=TICKET,
            headline=f"{node.name} died and was started again",
            since_ms=node.crashed_ms,
            labels={"node": node.name},
        )
        for node in seen.nodes
        if node.crashed_ms is not None
        and _is_fresh(node, seen.now_ms)
        and seen.now_ms - node.crashed_ms < CRASH_TOLD_MS
    ]


def _is_fresh(node: NodeSeen, now_ms: int) -> bool:
    return node.answered_ms is not None and now_ms - node.answered_ms <= FRESH_MS


def _seconds(seen: FleetSeen, since_ms: int) -> str:
    seconds = (seen.now_ms - since_ms) // 1000
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
