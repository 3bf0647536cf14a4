"""How fast error budgets burn, when that is a condition, and when it is over.

A tier holds when the burn rate is high over a long window (it matters) and over a short one (it is
going on), and requests are still bad in the newest part of it. The tiers are those of the SRE
workbook (14.4, 6, 3, 1), with a flash tier below them, since nobody wants to wait minutes to hear
of a stalled disk. The flash tier's burn is capped: an objective with a wide budget would else need
nearly every request to be bad. And it counts time as well as requests, whichever is worse: clients
that wait for an answer before they ask again send few requests while nothing is answered, so that
the requests of a good minute would hide a bad one.

Two guards keep quiet times quiet: a window with fewer than REQUESTS_MIN requests or BAD_MIN bad
ones holds no tier, and a long window counts only when at least half of it was measured. So the
first minute after a start, when everything is cold and slow, pages nobody. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from telemetry.slo.alerts import PAGE, TICKET, Condition
from telemetry.slo.counts import (
    WRITES,
    Counts,
    History,
    Objective,
    Second,
    Window,
    counts_of,
    total,
)

BAD_MIN: Final = 10
BAD_SECONDS_MIN: Final = 3
"""One burst, however bad, is one second; nobody could act on it."""
REQUESTS_MIN: Final = 30
COVERED_SHARE_MIN: Final = 0.5
FLASH_SHARES: Final = (0.075, 0.20)
"""The flash tier needs at most this share of bad requests over its long and its short window."""
ONSET_GAP_S: Final = 5
"""Bad seconds this close together are one trouble; its onset is the first of them."""
BUDGET_COUNTS_FROM_S: Final = 1800
MET_WINDOW_S: Final = 30


class Tier(NamedTuple):
    """`recent_s`: a bad share above the budget must also be seen over so short a time."""

    name: str
    burn: float
    long_s: int
    short_s: int
    recent_s: int
    severity: str


TIERS: Final = (
    Tier("1x", 1.0, 3 * 86_400, 6 * 3600, 3600, TICKET),
    Tier("3x", 3.0, 86_400, 2 * 3600, 1800, TICKET),
    Tier("6x", 6.0, 6 * 3600, 1800, 300, PAGE),
    Tier("14.4x", 14.4, 3600, 300, 60, PAGE),
    Tier("flash", 14.4, 120, 30, 10, PAGE),
)
"""Slowest first."""
FLASH: Final = TIERS[-1]


def burn_rate(counts: Counts, objective: Objective) -> float:
    """Bad share over allowed share; 1 uses the budget up exactly at the end of its window."""
    if counts.requests == 0:
        return 0.0
    return counts.bad / counts.requests / objective.budget


def time_burn(history: History, length_s: int, now_s: int) -> float:
    """The mean bad share of the seconds that had requests, over the allowed share: the burn rate of
    a load that stays the same.
    """
    seconds = (history.seconds.get(t_s) for t_s in range(now_s - length_s + 1, now_s + 1))
    shares = [counts.bad / counts.requests for counts in seconds if counts and counts.requests]
    return sum(shares) / len(shares) / history.objective.budget if shares else 0.0


def is_quiet(counts: Counts) -> bool:
    """Too few requests to say anything by a percentage."""
    return counts.requests < REQUESTS_MIN


@dataclass(frozen=True, slots=True, kw_only=True)
class TierReading:
    """One tier of one objective now. `measured` is False while its long window is mostly empty."""

    tier: Tier
    long_burn: float
    short_burn: float
    measured: bool
    quiet: bool
    holds: bool


def read_tier(history: History, tier: Tier, *, now_s: int) -> TierReading:
    """`now_s` is the newest complete second."""
    objective = history.objective
    long = _window(history, tier.long_s, now_s)
    short = _window(history, tier.short_s, now_s)
    recent = _window(history, tier.recent_s, now_s)
    long_least, short_least = tier.burn, tier.burn
    if tier is FLASH:
        long_least = min(tier.burn, FLASH_SHARES[0] / objective.budget)
        short_least = min(tier.burn, FLASH_SHARES[1] / objective.budget)
    long_burn, short_burn = burn_rate(long.counts, objective), burn_rate(short.counts, objective)
    if tier is FLASH:
        long_burn = max(long_burn, time_burn(history, tier.long_s, now_s))
        short_burn = max(short_burn, time_burn(history, tier.short_s, now_s))
    measured = long.covered_s >= COVERED_SHARE_MIN * tier.long_s
    quiet = is_quiet(long.counts)
    holds = (
        measured
        and not quiet
        and long_burn >= long_least
        and short_burn >= short_least
        and short.counts.bad >= BAD_MIN
        and burn_rate(recent.counts, objective) >= 1.0
        and (tier is not FLASH or _bad_seconds(history, tier.short_s, now_s) >= BAD_SECONDS_MIN)
    )
    return TierReading(
        tier=tier,
        long_burn=long_burn,
        short_burn=short_burn,
        measured=measured,
        quiet=quiet,
        holds=holds,
    )


def read_tiers(history: History, *, now_s: int) -> tuple[TierReading, ...]:
    """All tiers, slowest first."""
    return tuple(read_tier(history, tier, now_s=now_s) for tier in TIERS)


def conditions(
    history: History, readings: Sequence[TierReading], *, now_s: int, labels: Mapping[str, str]
) -> list[Condition]:
    """One condition for each tier that holds."""
    return [
        _condition(history, reading, TIERS.index(reading.tier), now_s, labels)
        for reading in readings
        if reading.holds
    ]


def _condition(
    history: History, reading: TierReading, speed: int, now_s: int, labels: Mapping[str, str]
) -> Condition:
    objective, tier = history.objective, reading.tier
    if tier.long_s <= 3600:
        since_s = onset_s(history, tier.long_s, now_s)
        # The share of now, not the mean since the onset: what grows must be seen to grow.
        counts = history.last(min(tier.short_s, now_s - since_s + 1), now_s=now_s).counts
        tail = f" for {_length(now_s - since_s + 1)}"
    else:
        since_s = now_s - tier.short_s
        counts = history.window(tier.short_s, now_s=now_s).counts
        tail = f" for {_length(tier.short_s)}: the budget burns {reading.short_burn:.1f}x too fast"
    percent = 100.0 * counts.bad / max(1, counts.requests)
    return Condition(
        rule=objective.name,
        tier=tier.name,
        severity=tier.severity,
        headline=f"{_what(objective, percent)}{tail}",
        since_ms=since_s * 1000,
        labels={"objective": objective.name, **labels},
        value=round(percent, 3),
        speed=speed,
    )


def _what(objective: Objective, percent: float) -> str:
    kind = "Writes" if objective.of == WRITES else "Reads"
    share = f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
    if objective.threshold_ms is None:
        return f"{kind} fail: {share}"
    return f"{kind} are slow: {share} over {objective.threshold_ms:g} ms"


def _length(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def onset_s(history: History, length_s: int, now_s: int) -> int:
    """The first second of the trouble that the newest bad second belongs to."""
    budget = history.objective.budget
    first = last = now_s
    for t_s in range(now_s, max(now_s - min(length_s, 900), 0), -1):
        counts = history.seconds.get(t_s)
        if counts is not None and counts.bad > budget * counts.requests:
            first = last = t_s
        elif last - t_s > ONSET_GAP_S and first != now_s:
            break
    return first


def _bad_seconds(history: History, length_s: int, now_s: int) -> int:
    seconds = range(now_s - length_s + 1, now_s + 1)
    return sum(1 for t_s in seconds if (counts := history.seconds.get(t_s)) and counts.bad)


def _window(history: History, length_s: int, now_s: int) -> Window:
    if length_s <= 300:
        return history.last(length_s, now_s=now_s)
    return history.window(length_s, now_s=now_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReading:
    """How much of an objective's budget is left. `drill_percent` is the part of it that drills
    spent; `burn` is over the last hour, or as much of it as was measured.
    """

    left_percent: float
    drill_percent: float
    burn: float
    measured_s: int


def read_budget(history: History, *, now_s: int) -> BudgetReading:
    """Until a whole window was measured, the traffic so far is taken to go on: else one bad minute
    of a young fleet would be its whole month.
    """
    objective = history.objective
    found = history.window(objective.window_s, now_s=now_s)
    measured_s = min(found.covered_s, objective.window_s)
    hour = history.window(3600, now_s=now_s).counts
    allowed = objective.budget * found.counts.requests * objective.window_s / max(1, measured_s)
    if allowed <= 0:
        return BudgetReading(left_percent=100.0, drill_percent=0.0, burn=0.0, measured_s=measured_s)
    return BudgetReading(
        left_percent=100.0 * (1.0 - found.counts.bad / allowed),
        drill_percent=100.0 * found.counts.drill_bad / allowed,
        burn=burn_rate(hour, objective),
        measured_s=measured_s,
    )


def is_met(seconds: Sequence[Second], objectives: Sequence[Objective]) -> bool:
    """Whether these seconds together keep every objective. No request at all keeps it."""
    for objective in objectives:
        counts = total(c for s in seconds if (c := counts_of(objective, s)) is not None)
        if counts.bad > objective.budget * counts.requests:
            return False
    return True


def met_since(
    seconds: Sequence[Second],
    objectives: Sequence[Objective],
    *,
    not_before_s: int = 0,
    window_s: int = MET_WINDOW_S,
) -> int | None:
    """Start (Unix s) of the first `window_s` seconds, none of them before `not_before_s`, in which
    every objective was met; None if there was no such window yet. This is what "fixed" means. A
    second that nobody reported is not a met one, so a window must have all of its seconds.
    """
    known = {second.t_s: second for second in seconds}
    for start_s in sorted(known):
        if start_s < not_before_s:
            continue
        window = [known.get(t_s) for t_s in range(start_s, start_s + window_s)]
        inside = [second for second in window if second is not None]
        if len(inside) == window_s and is_met(inside, objectives):
            return start_s
    return None


def seconds_of(counts: Sequence[Mapping[str, int]]) -> tuple[Second, ...]:
    """The `counts` of the telemetry process's answer to `objectives`, asked with a step of 1 s."""
    return tuple(
        Second(
            t_s=row["t_ms"] // 1000,
            writes=row["writes"],
            writes_failed=row["writes_failed"],
            writes_slow=row["writes_slow"],
            reads=row["reads"],
            reads_failed=row["reads_failed"],
            reads_slow=row["reads_slow"],
        )
        for row in counts
    )
