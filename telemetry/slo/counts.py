"""Good and bad requests over time: the one thing that objectives are judged by.

Seconds come from the rings of the telemetry process, or, while that is dead, from the nodes' own
counters. A second that nobody reported is absent, never zero. Closed minutes are kept for as long
as the longest window is, the newest days minute by minute and what is older hour by hour, so that
the sum over any window costs little and memory is bounded.

What always holds: a second counts once, and a second that is told again counts by whichever report
knew of more requests, since reports of one second arrive one by one. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

SECONDS_KEPT: Final = 900
MINUTES_KEPT: Final = 4_400
"""Three days and a little: the longest window that is summed by the minute."""
HOURS_KEPT: Final = 31 * 24
MINUTE_SETTLED_S: Final = 10
"""A minute is closed this long after its end; reports are late by a few seconds at most."""

READS: Final = "reads"
WRITES: Final = "writes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """`target_percent` of the requests are good over `window_days`. Good means answered without an
    error of ours or, where there is a `threshold_ms`, answered within it.
    """

    name: str
    of: str  # reads | writes
    target_percent: float
    threshold_ms: float | None
    window_days: int

    @property
    def budget(self) -> float:
        """The share of requests that may be bad."""
        return 1.0 - self.target_percent / 100.0

    @property
    def window_s(self) -> int:
        return self.window_days * 86_400


class Second(NamedTuple):
    """What all nodes together did in one second. Slow counts are None where nobody could tell."""

    t_s: int
    writes: int
    writes_failed: int
    writes_slow: int | None
    reads: int
    reads_failed: int
    reads_slow: int | None
    in_drill: bool = False

    @property
    def requests(self) -> int:
        return self.writes + self.reads


class Counts(NamedTuple):
    """Requests of some stretch of time; `drill_bad` of the bad ones were caused on purpose."""

    requests: int = 0
    bad: int = 0
    drill_bad: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(
            self.requests + other.requests,
            self.bad + other.bad,
            self.drill_bad + other.drill_bad,
        )


NOTHING: Final = Counts()


class Minute(NamedTuple):
    """One closed minute of one objective."""

    objective: str
    minute: int  # Unix time // 60
    counts: Counts


def counts_of(objective: Objective, second: Second) -> Counts | None:
    """What one second says of one objective; None: nothing."""
    if objective.of == WRITES:
        requests, failed, slow = second.writes, second.writes_failed, second.writes_slow
    else:
        requests, failed, slow = second.reads, second.reads_failed, second.reads_slow
    bad = failed if objective.threshold_ms is None else slow
    if bad is None:
        return None
    # A request may fail in the second after the one that counted it.
    requests = max(requests, bad)
    return Counts(requests, bad, bad if second.in_drill else 0)


def total(counts: Iterable[Counts]) -> Counts:
    """All of them together."""
    requests = bad = drill_bad = 0
    for each in counts:
        requests += each.requests
        bad += each.bad
        drill_bad += each.drill_bad
    return Counts(requests, bad, drill_bad)


class Window(NamedTuple):
    """The sum over a window, and for how many of its seconds anybody reported."""

    counts: Counts
    covered_s: int


class History:
    """What is known of one objective."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.seconds: dict[int, Counts] = {}
        self.minutes: dict[int, Counts] = {}
        self.hours: dict[int, Counts] = {}
        self.closed_until_s = 0
        """All seconds before this one are in minutes."""
        self._covered: dict[int, int] = {}  # hour -> minutes that were reported
        self._sums: dict[int, Window] = {}
        self._tails: list[tuple[int, int, int, int]] = []
        self._tails_end_s: int | None = None

    @property
    def last_s(self) -> int | None:
        """The newest second that was reported."""
        return next(reversed(self.seconds), None)

    def retarget(self, objective: Objective) -> None:
        """The same requests, judged by another target or window."""
        assert objective.threshold_ms == self.objective.threshold_ms, objective.name
        self.objective = objective
        self._sums.clear()

    def feed(self, t_s: int, counts: Counts) -> None:
        """Count a second. One that is already in a closed minute is too late."""
        if t_s < self.closed_until_s:
            return
        before = self.seconds.get(t_s)
        if before is not None and before.requests > counts.requests:
            return
        last_s = self.last_s
        self.seconds[t_s] = counts
        self._tails_end_s = None
        if before is None and last_s is not None and t_s < last_s:
            self.seconds = dict(sorted(self.seconds.items()))

    def load(self, minutes: Mapping[int, Counts], hours: Mapping[int, tuple[Counts, int]]) -> None:
        """Take over what an earlier watcher counted: minutes, and hours with the number of minutes
        that were reported in each.
        """
        for minute, counts in sorted(minutes.items()):
            self._keep(minute, counts)
        for hour, (counts, covered) in sorted(hours.items()):
            self.hours[hour] = self.hours.get(hour, NOTHING).plus(counts)
            self._covered[hour] = self._covered.get(hour, 0) + covered
        self._sums.clear()

    def close(self, now_s: int) -> list[Minute]:
        """Minutes that ended and have settled since the last call."""
        until = (now_s - MINUTE_SETTLED_S) // 60
        if until * 60 <= self.closed_until_s:
            return []
        open_minutes = sorted({t_s // 60 for t_s in self.seconds if t_s >= self.closed_until_s})
        closed = []
        for minute in open_minutes:
            if minute < until:
                inside = range(minute * 60, minute * 60 + 60)
                counts = total(self.seconds[t_s] for t_s in inside if t_s in self.seconds)
                self._keep(minute, counts)
                closed.append(Minute(self.objective.name, minute, counts))
        self.closed_until_s = until * 60
        self._sums.clear()
        self._forget(now_s)
        return closed

    def last(self, length_s: int, *, now_s: int) -> Window:
        """The sum over the last seconds; `length_s` is at most SECONDS_KEPT."""
        assert length_s <= SECONDS_KEPT, length_s
        if self._tails_end_s != now_s:
            self._tails, self._tails_end_s = [(0, 0, 0, 0)], now_s
        tails, seconds = self._tails, self.seconds
        # One walk back in time serves every window: each asks for a longer tail or a known one.
        while len(tails) <= length_s:
            counts = seconds.get(now_s + 1 - len(tails))
            requests, bad, drill_bad, covered_s = tails[-1]
            if counts is None:
                tails.append(tails[-1])
            else:
                tails.append(
                    (
                        requests + counts.requests,
                        bad + counts.bad,
                        drill_bad + counts.drill_bad,
                        covered_s + 1,
                    )
                )
        requests, bad, drill_bad, covered_s = tails[length_s]
        return Window(Counts(requests, bad, drill_bad), covered_s)

    def window(self, length_s: int, *, now_s: int) -> Window:
        """The sum over a window of any length, to the minute (beyond three days to the hour)."""
        closed = self._sums.get(length_s)
        if closed is None:
            closed = self._sums[length_s] = self._closed_sum(length_s)
        since_s = max(self.closed_until_s, now_s - length_s + 1)
        fresh = self.last(max(0, min(SECONDS_KEPT, now_s + 1 - since_s)), now_s=now_s)
        return Window(closed.counts.plus(fresh.counts), closed.covered_s + fresh.covered_s)

    def _closed_sum(self, length_s: int) -> Window:
        last = self.closed_until_s // 60
        first = last - length_s // 60
        inside = [counts for minute, counts in self.minutes.items() if minute >= first]
        found = Window(total(inside), 60 * len(inside))
        if length_s <= MINUTES_KEPT * 60:
            return found
        hours = [hour for hour in self.hours if hour >= first // 60]
        return Window(
            found.counts.plus(total(self.hours[hour] for hour in hours)),
            found.covered_s + 60 * sum(self._covered[hour] for hour in hours),
        )

    def _keep(self, minute: int, counts: Counts) -> None:
        self.minutes[minute] = counts
        self.closed_until_s = max(self.closed_until_s, minute * 60 + 60)

    def _forget(self, now_s: int) -> None:
        """Seconds that are old go; minutes that are old become part of their hour."""
        self._tails_end_s = None
        for t_s in [t_s for t_s in self.seconds if t_s <= now_s - SECONDS_KEPT]:
            del self.seconds[t_s]
        for minute in [m for m in self.minutes if m < now_s // 60 - MINUTES_KEPT]:
            counts, hour = self.minutes.pop(minute), minute // 60
            self.hours[hour] = self.hours.get(hour, NOTHING).plus(counts)
            self._covered[hour] = self._covered.get(hour, 0) + 1
        for hour in [hour for hour in self.hours if hour < now_s // 3600 - HOURS_KEPT]:
            del self.hours[hour], self._covered[hour]
