"""One turn of the watch: from what was gathered to what is told. No clock, no database, no socket.

Each second the shell hands over what its sources last answered (`Gathered`); out comes what changed
among the alerts, which minutes are closed, and how every objective stands (`Turned`). Requests are
counted by telemetry's rings. While those are silent, the nodes' own counters take their place: they
know of failures, not of slow requests, so latency is then unseen, and an outage is not.

What always holds: what is told rests on the newest second that was reported, never on one that is
still filling; nothing is told in the first moments, until an earlier watcher's alerts were taken
over or LOAD_WAIT_MS have passed. Pure, so that hours are replayed in a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from telemetry.slo import burn
from telemetry.slo.alerts import Board, Condition, Firing, Transition
from telemetry.slo.burn import MET_WINDOW_S, BudgetReading, TierReading
from telemetry.slo.counts import Counts, History, Minute, Objective, Second, counts_of
from telemetry.slo.fleet_rules import FRESH_MS, FleetRules, FleetSeen

LOAD_WAIT_MS: Final = 10_000
BLIND_AFTER_S: Final = 10
"""A second older than this says nothing of now."""
MET_SECONDS_MIN: Final = 24
"""Of the last 30 seconds, so many must have been reported for a word on whether they were met."""
DRILL_TAIL_MS: Final = 15_000
"""What is bad so shortly after a drill is still its doing."""


class NodeTotals(NamedTuple):
    """A node's own counters since its start."""

    reads: int
    writes: int
    failed: int


class Drill(NamedTuple):
    """A drill that is under way; `run` is its run's number."""

    run: str
    since_ms: int


class Gathered(NamedTuple):
    """What the sources last answered. `seconds` are telemetry's, all or only the newest."""

    fleet: FleetSeen
    seconds: Sequence[Second]
    totals: Mapping[str, NodeTotals]
    objectives: tuple[Objective, ...]
    drill: Drill | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one objective stands. `met` is over the last 30 s, None where that can't be told."""

    objective: Objective
    met: bool | None
    quiet: bool
    recent: Counts
    budget: BudgetReading
    tiers: tuple[TierReading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """The outcome of one turn. `met_since_s` is when `met` last became what it is."""

    now_ms: int
    transitions: tuple[Transition, ...]
    minutes: tuple[Minute, ...]
    standings: tuple[Standing, ...]
    met: bool | None
    met_since_s: int | None
    firing: tuple[Firing, ...]
    voters: int | None
    source: str  # telemetry | nodes | "" where nobody counts


class Judge:
    """The watch's memory."""

    def __init__(self, *, started_ms: int) -> None:
        self._started_ms = started_ms
        self._board = Board()
        self._rules = FleetRules(started_ms=started_ms)
        self._histories: dict[str, History] = {}
        self._seconds: dict[int, Second] = {}
        self._end_s: int | None = None  # the newest second that was reported
        self._totals: dict[str, NodeTotals] = {}
        self._drill: Drill | None = None
        self._drill_seen_ms = 0
        self._loaded = False
        self._met: bool | None = None
        self._met_since_s: int | None = None

    def load(
        self,
        *,
        minutes: Mapping[str, Mapping[int, Counts]],
        hours: Mapping[str, Mapping[int, tuple[Counts, int]]],
        open_alerts: Iterable[Transition],
        now_ms: int,
    ) -> None:
        """Take over from an earlier watcher. Comes once, after a first turn, whenever the database
        gave it; what it knows of a minute stands, since it also knows of drills.
        """
        self._loaded = True
        self._board.resume(open_alerts, now_ms=now_ms)
        for name, history in self._histories.items():
            history.load(minutes.get(name, {}), hours.get(name, {}))

    def turn(self, gathered: Gathered) -> Turned:
        """One second of watching."""
        now_ms, fleet = gathered.fleet.now_ms, gathered.fleet
        self._take_objectives(gathered.objectives)
        self._take_drill(gathered.drill, now_ms)
        source = self._take_seconds(gathered)
        end_s = self._end_s
        readings = {
            name: burn.read_tiers(history, now_s=end_s or now_ms // 1000)
            for name, history in self._histories.items()
        }
        unseen = {name for name in self._histories if not self._is_fresh(name, now_ms)}
        fleet_verdicts = self._rules.judge(fleet)
        conditions = list(fleet_verdicts.conditions)
        for name, history in self._histories.items():
            if name not in unseen and end_s is not None:
                conditions += burn.conditions(history, readings[name], now_s=end_s, labels={})
        transitions = self._board.judge(
            [self._marked(condition, now_ms) for condition in conditions]
            if self._may_tell(now_ms)
            else (),
            now_ms=now_ms,
            unseen=fleet_verdicts.unseen | unseen,
        )
        minutes = [m for h in self._histories.values() for m in h.close(now_ms // 1000)]
        standings = tuple(
            self._standing(history, readings[name], unseen, end_s, now_ms)
            for name, history in self._histories.items()
        )
        self._take_met(standings, end_s)
        return Turned(
            now_ms=now_ms,
            transitions=transitions,
            minutes=tuple(minutes),
            standings=standings,
            met=self._met,
            met_since_s=self._met_since_s,
            firing=self._board.firing,
            voters=fleet_verdicts.voters,
            source=source,
        )

    def _may_tell(self, now_ms: int) -> bool:
        return self._loaded or now_ms - self._started_ms >= LOAD_WAIT_MS

    def _take_objectives(self, objectives: tuple[Objective, ...]) -> None:
        """A changed target keeps its counts; with another threshold they mean something else."""
        if [h.objective for h in self._histories.values()] == list(objectives):
            return
        before, self._histories = self._histories, {}
        for objective in objectives:
            known = before.get(objective.name)
            if known is not None and known.objective.threshold_ms == objective.threshold_ms:
                known.retarget(objective)
                self._histories[objective.name] = known
                continue
            self._histories[objective.name] = history = History(objective)
            for second in self._seconds.values():
                _feed(history, second)

    def _take_drill(self, drill: Drill | None, now_ms: int) -> None:
        if drill is not None:
            self._drill, self._drill_seen_ms = drill, now_ms
        elif now_ms - self._drill_seen_ms > DRILL_TAIL_MS:
            self._drill = None

    def _take_seconds(self, gathered: Gathered) -> str:
        fleet = gathered.fleet
        fresh, answered_ms = self._delta(gathered.totals), fleet.telemetry_answered_ms
        source = "telemetry"
        seconds: Sequence[Second] = gathered.seconds
        if answered_ms is None or fleet.now_ms - answered_ms > FRESH_MS:
            seconds = () if fresh is None else (self._second_of(fresh, fleet.now_ms),)
            source = "nodes" if seconds else ""
        for second in seconds:
            known = self._seconds.get(second.t_s)
            if known is not None and known.requests > second.requests:
                continue
            if known is not None and known[1:7] == second[1:7]:
                continue
            marked = second._replace(in_drill=self._is_in_drill(second.t_s))
            self._seconds[second.t_s] = marked
            self._end_s = max(self._end_s or 0, second.t_s)
            for history in self._histories.values():
                _feed(history, marked)
        if len(self._seconds) > 900:
            newest = sorted(self._seconds)[-700:]
            self._seconds = {t_s: self._seconds[t_s] for t_s in newest}
        return source

    def _delta(self, totals: Mapping[str, NodeTotals]) -> NodeTotals | None:
        """What the nodes counted since the last turn; None if none of them answered."""
        reads = writes = failed = 0
        for name, after in totals.items():
            before = self._totals.get(name, after)
            if after.reads < before.reads or after.writes < before.writes:
                before = NodeTotals(0, 0, 0)  # It was started again.
            reads += after.reads - before.reads
            writes += after.writes - before.writes
            failed += max(0, after.failed - before.failed)
            self._totals[name] = after
        return NodeTotals(reads, writes, failed) if totals else None

    def _second_of(self, fresh: NodeTotals, now_ms: int) -> Second:
        """The nodes don't say what failed, so it counts as writes unless only reads ended."""
        are_reads = fresh.writes == 0 and fresh.reads > 0
        return Second(
            t_s=now_ms // 1000,
            writes=fresh.writes,
            writes_failed=0 if are_reads else fresh.failed,
            writes_slow=None,
            reads=fresh.reads,
            reads_failed=fresh.failed if are_reads else 0,
            reads_slow=None,
        )

    def _is_in_drill(self, t_s: int) -> bool:
        return self._drill is not None and t_s * 1000 >= self._drill.since_ms - 1000

    def _marked(self, condition: Condition, now_ms: int) -> Condition:
        """A drill's own trouble says so in its labels."""
        drill = self._drill
        if drill is None or condition.since_ms < drill.since_ms - 2000:
            return condition
        return condition.with_labels({**condition.labels, "drill": drill.run})

    def _is_fresh(self, name: str, now_ms: int) -> bool:
        last_s = self._histories[name].last_s
        return last_s is not None and now_ms // 1000 - last_s <= BLIND_AFTER_S

    def _standing(
        self,
        history: History,
        tiers: tuple[TierReading, ...],
        unseen: set[str],
        end_s: int | None,
        now_ms: int,
    ) -> Standing:
        objective = history.objective
        recent = history.last(MET_WINDOW_S, now_s=end_s or now_ms // 1000)
        known = objective.name not in unseen and recent.covered_s >= MET_SECONDS_MIN
        met = recent.counts.bad <= objective.budget * recent.counts.requests if known else None
        return Standing(
            objective=objective,
            met=met,
            quiet=burn.is_quiet(recent.counts),
            recent=recent.counts,
            budget=burn.read_budget(history, now_s=end_s or now_ms // 1000),
            tiers=tiers,
        )

    def _take_met(self, standings: Sequence[Standing], end_s: int | None) -> None:
        all_met = [standing.met for standing in standings]
        met = False if False in all_met else None if None in all_met or not all_met else True
        if met != self._met:
            back_s = MET_WINDOW_S - 1 if met else 0
            self._met, self._met_since_s = met, None if end_s is None else end_s - back_s


def _feed(history: History, second: Second) -> None:
    counts = counts_of(history.objective, second)
    if counts is not None:
        history.feed(second.t_s, counts)
