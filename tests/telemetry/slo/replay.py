"""Replays a watch from text: what each second looked like, and what had to be told.

    for 120 s    writes 10 reads 12
    for 60 s     writes 10 slow 4 reads 12
    for 8 s      writes 10 telemetry down
    for 20 s     nodes 0
    told write-latency firing flash at 135..150
    told nothing else

Words of a stretch: `writes`, `failed`, `slow`, `reads`, `reads-failed`, `reads-slow` (counts in
each second), `telemetry down`, `telemetry new` (another process, which heard nobody yet), `silent`
(telemetry up, but it heard nobody), `nodes N` (the first N answer), `voters N` (the first N keep
up), `canary fails`, `canary off`, `crashed N` (node N is another process since a crash), `drill`.
Seconds count from the start of the watch; `1-in-N` before a count lets it happen in every Nth
second only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from telemetry.slo.alerts import Transition
from telemetry.slo.counts import READS, WRITES, Objective, Second
from telemetry.slo.fleet_rules import CanarySeen, FleetSeen, NodeSeen
from telemetry.slo.judge import Drill, Gathered, Judge, NodeTotals, Turned

START_S = 1_700_000_000
RINGS_LATE_S = 3
NODES = 3
COUNTS = ("writes", "failed", "slow", "reads", "reads-failed", "reads-slow")
TOLD = re.compile(
    r"told (?P<key>\S+) (?P<state>firing|worsened|resolved)(?: (?P<tier>\S+))?"
    r" at (?P<low>\d+)\.\.(?P<high>\d+)(?: drill (?P<drill>\d+))?"
)

OBJECTIVES = tuple(
    Objective(name=name, of=of, target_percent=target, threshold_ms=limit, window_days=30)
    for name, of, target, limit in (
        ("write-availability", WRITES, 99.9, None),
        ("write-latency", WRITES, 95.0, 50.0),
        ("read-availability", READS, 99.9, None),
        ("read-latency", READS, 95.0, 20.0),
    )
)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Some seconds that look alike."""

    length_s: int
    words: str

    def count(self, name: str, second: int) -> int:
        found = re.search(rf"(?:^|\s)(?:1-in-(\d+) )?{name} (\d+)", self.words)
        if found is None or second % int(found[1] or 1):
            return 0
        return int(found[2])

    def first(self, name: str) -> int:
        found = re.search(rf"{name} (\d)", self.words)
        return int(found[1]) if found else NODES

    def says(self, words: str) -> bool:
        return words in self.words


@dataclass(frozen=True, kw_only=True)
class Told:
    """What must be told, and when."""

    key: str
    state: str
    tier: str | None
    low_s: int
    high_s: int
    drill: str | None

    def is_met_by(self, transition: Transition) -> bool:
        at_s = transition.at_ms // 1000 - START_S
        return (
            (transition.key, transition.state) == (self.key, self.state)
            and self.low_s <= at_s <= self.high_s
            and self.tier in (None, transition.tier)
            and transition.labels.get("drill") == self.drill
        )


@dataclass
class Script:
    """A parsed text."""

    stretches: list[Stretch] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)


def parse(text: str) -> Script:
    script = Script()
    for line in text.splitlines():
        words = line.partition("#")[0].strip()
        if found := re.fullmatch(r"for (\d+) (s|min|h)\s*(.*)", words):
            scale = {"s": 1, "min": 60, "h": 3600}[found[2]]
            script.stretches.append(Stretch(length_s=int(found[1]) * scale, words=found[3]))
        elif found := TOLD.fullmatch(words):
            script.told.append(
                Told(
                    key=found["key"],
                    state=found["state"],
                    tier=found["tier"],
                    low_s=int(found["low"]),
                    high_s=int(found["high"]),
                    drill=found["drill"],
                )
            )
        else:
            assert words in ("", "told nothing else", "told nothing"), line
    return script


class World:
    """A fleet that does as a script says, and a watch over it."""

    def __init__(self, start_s: int = START_S) -> None:
        self.start_s = start_s
        self.judge = Judge(started_ms=start_s * 1000)
        self.judge.load(minutes={}, hours={}, open_alerts=(), now_ms=start_s * 1000)
        self.seconds: list[Second] = []
        self.totals = [0, 0, 0]
        self.answered_ms: list[int | None] = [None] * NODES
        self.telemetry_ms: int | None = None
        self.heard_ms: dict[str, int] = {}
        self.crashed_ms: dict[int, int] = {}
        self.commit = [0]
        self.failing_since_ms: int | None = None
        self.failures = 0
        self.drill: Drill | None = None
        self.turned: Turned | None = None

    def second(self, number: int, stretch: Stretch) -> Turned:
        """One second passes."""
        self.turned = self.judge.turn(self.gather(number, stretch))
        return self.turned

    def gather(self, number: int, stretch: Stretch) -> Gathered:
        """One second passes, and this is what can be known of it."""
        now_s = self.start_s + number
        counts = [stretch.count(name, number) for name in COUNTS]
        self.totals[0] += counts[3]
        self.totals[1] += counts[0]
        self.totals[2] += counts[1] + counts[4]
        if stretch.first("nodes") and not stretch.says("silent"):
            self.seconds.append(_second(now_s, counts))
        self.commit.append(self.commit[-1] + counts[0] + 1)
        return self._gathered(now_s, stretch)

    def _gathered(self, now_s: int, stretch: Stretch) -> Gathered:
        up = not stretch.says("telemetry down")
        is_new = stretch.says("telemetry new")
        if is_new:
            self.heard_ms.clear()
        if up:
            self.telemetry_ms = now_s * 1000
            for node in range(stretch.first("nodes")):
                if not is_new and not stretch.says("silent"):
                    self.heard_ms[f"node-{node}"] = now_s * 1000
        known = [s for s in self.seconds[-12:] if s.t_s <= now_s - RINGS_LATE_S] if up else []
        if not stretch.says("drill"):
            self.drill = None
        elif self.drill is None:
            self.drill = Drill(run="88", since_ms=now_s * 1000)
        return Gathered(
            fleet=FleetSeen(
                now_ms=now_s * 1000,
                nodes=self._nodes(now_s, stretch),
                telemetry_answered_ms=self.telemetry_ms,
                heard_ms=dict(self.heard_ms),
                canary=self._canary(now_s, stretch),
            ),
            seconds=known,
            totals={"node-0": NodeTotals(*self.totals)} if stretch.first("nodes") else {},
            objectives=OBJECTIVES,
            drill=self.drill,
        )

    def _nodes(self, now_s: int, stretch: Stretch) -> list[NodeSeen]:
        keep_up, found = stretch.first("voters"), []
        if stretch.says("crashed"):
            self.crashed_ms.setdefault(stretch.first("crashed"), now_s * 1000)
        for node in range(NODES):
            if node < stretch.first("nodes"):
                self.answered_ms[node] = now_s * 1000
            matches = {
                f"node-{peer}": self.commit[-1] if peer < keep_up else self.commit[0]
                for peer in range(1, NODES)
            }
            found.append(
                NodeSeen(
                    name=f"node-{node}",
                    answered_ms=self.answered_ms[node],
                    role="follower" if node else "leader",
                    term=4,
                    leader="node-0",
                    commit_index=self.commit[-1],
                    matches=matches if node == 0 else {},
                    crashed_ms=self.crashed_ms.get(node),
                )
            )
        return found

    def _canary(self, now_s: int, stretch: Stretch) -> CanarySeen | None:
        if stretch.says("canary off"):
            return None
        if stretch.says("canary fails") or not stretch.first("nodes"):
            self.failing_since_ms = self.failing_since_ms or now_s * 1000
            self.failures += 1
        else:
            self.failing_since_ms, self.failures = None, 0
        return CanarySeen(
            last_ok_ms=now_s * 1000,
            failing_since_ms=self.failing_since_ms,
            failures=self.failures,
            reason="its write got status 503" if self.failures else "",
        )


def _second(t_s: int, counts: list[int]) -> Second:
    writes, failed, slow, reads, reads_failed, reads_slow = counts
    return Second(t_s, writes, failed, slow, reads, reads_failed, reads_slow)


def replay(script: Script) -> list[Transition]:
    """Everything that was told."""
    world, number = World(), 0
    told: list[Transition] = []
    for stretch in script.stretches:
        for _ in range(stretch.length_s):
            told += world.second(number, stretch).transitions
            number += 1
    return told


def scripts() -> list[Path]:
    return sorted((Path(__file__).parent / "series").glob("*.txt"))
