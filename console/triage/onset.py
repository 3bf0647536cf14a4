"""When it began, and which two stretches of time are compared.

Pure. An alert comes seconds to minutes after the fault. So we start where the budget began to burn
and walk back for as long as any golden signal is out of its usual range by more than six scales; a
few quiet seconds end the walk, since a blip of a minute ago is another story. Between the normal
stretch and the onset lies a guard band that belongs to neither, because what leads up to a fault is
no baseline for it. Absolute values: a stall shows as a drop in traffic before it shows as latency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.triage.evidence import Column, Seconds, Window
from console.triage.robust import known, median, scale

Z_MIN = 6.0
WALK_BACK_S = 120
NORMAL_S = 600
NORMAL_S_MIN = 30
GUARD_S = 60
GUARD_SHORT_S = 10
"""With little history, a short guard is better than no baseline."""
BEFORE_ONSET_S = 3
BEFORE_BURN_S = 12
"""Where no signal moved enough to be walked back along, the fault is this much older at most."""
NOW_S_MAX = 180
SETTLE_S = 3
"""Seconds after the burn began that are still looked at."""
GAP_S = 5
"""More quiet seconds than this end the walk back."""
LATELY_S = 30
MOVED_S_MIN = 2
ALONE_S_MIN = 5
"""Without an alert, a stretch must have moved for this long to be a story at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """`at_ms` is None where no signal left its range; the windows then end at `now_ms`."""

    at_ms: int | None
    normal: Window
    now: Window


def find(seconds: Seconds, *, now_ms: int, burn_ms: int | None) -> Onset:
    """The onset near `burn_ms` (None: of the last minutes) and the windows around it."""
    end_s = min(now_ms // 1000, seconds.start_s + seconds.count)
    hint_s = end_s if burn_ms is None else min(burn_ms // 1000, end_s)
    reach_s = WALK_BACK_S if burn_ms is not None else NOW_S_MAX
    first_s = hint_s - reach_s
    baseline = (max(0, first_s - NORMAL_S - seconds.start_s), max(0, first_s - seconds.start_s))
    if baseline[1] - baseline[0] < NORMAL_S_MIN:
        # A young fleet: medians bear it that the last stretch is among what is usual.
        baseline = (0, max(0, hint_s - seconds.start_s))
    until_s = min(end_s, hint_s + SETTLE_S)
    out = moved(golden(seconds), baseline, until_s - seconds.start_s)
    earliest = max(0, first_s - seconds.start_s)
    at = walk_back(out, earliest) if burn_ms is not None else longest(out, earliest)
    at_s = None if at is None else at + seconds.start_s
    is_found = at is not None
    if at_s is None and burn_ms is not None:
        at_s = hint_s - BEFORE_BURN_S
    return _windows(seconds, at_s, end_s, is_found=is_found)


def _windows(seconds: Seconds, at_s: int | None, end_s: int, *, is_found: bool) -> Onset:
    start_s = end_s - 60 if at_s is None else at_s - BEFORE_ONSET_S
    guard_s = GUARD_S
    if start_s - guard_s - NORMAL_S_MIN < seconds.start_s:
        guard_s = GUARD_SHORT_S
    normal_end_s = max(seconds.start_s, start_s - guard_s)
    normal = (max(seconds.start_s, normal_end_s - NORMAL_S) * 1000, normal_end_s * 1000)
    now = (start_s * 1000, min(end_s, start_s + NOW_S_MAX) * 1000)
    return Onset(
        at_ms=at_s * 1000 if at_s is not None and is_found else None, normal=normal, now=now
    )


LEAST: Mapping[str, float] = {
    "bad_share": 0.01,
    "write_p99_ms": 4.0,
    "read_p99_ms": 2.0,
    "requests": 4.0,
    "silent": 0.1,
}
"""The smallest scale of each signal: what nobody would call a change."""


def golden(seconds: Seconds) -> dict[str, Column]:
    """The signals of the whole fleet that users feel, second by second."""
    nodes = list(seconds.nodes.values())
    found: dict[str, list[float | None]] = {name: [] for name in LEAST}
    for at in range(seconds.count):
        rows = [{name: column[at] for name, column in node.items()} for node in nodes]
        heard = [row for row in rows if row["writes"] is not None]
        total = sum((row["writes"] or 0) + (row["reads"] or 0) for row in heard)
        bad = sum(
            (row["failed"] or 0) + (row["slow_writes"] or 0) + (row["slow_reads"] or 0)
            for row in heard
        )
        found["silent"].append(sum(1.0 for node in nodes if _is_silent(node["writes"], at)))
        found["requests"].append(total if heard else None)
        found["bad_share"].append(bad / total if total else None)
        for name in ("write_p99_ms", "read_p99_ms"):
            found[name].append(max(known(row[name] for row in heard), default=None))
    return dict(found)


def _is_silent(column: Column, at: int) -> bool:
    """A node that has reported before, and doesn't for two seconds. One missed report is a late
    one."""
    if column[at] is not None or not any(value is not None for value in column[:at]):
        return False
    beside = [column[each] for each in (at - 1, at + 1) if 0 <= each < len(column)]
    return any(value is None for value in beside)


def moved(signals: Mapping[str, Column], baseline: tuple[int, int], until: int) -> list[bool]:
    """For each second up to `until`, whether any signal was out of its usual range."""
    out = [False] * max(0, until)
    for name, values in signals.items():
        usual = known(values[slice(*baseline)])
        if len(usual) < NORMAL_S_MIN // 2:
            continue
        middle, reach = median(usual), Z_MIN * scale(usual, LEAST[name])
        for at, value in enumerate(values[: len(out)]):
            out[at] = out[at] or (value is not None and abs(value - middle) > reach)
    return out


def walk_back(out: Sequence[bool], earliest: int) -> int | None:
    """The start of the stretch that the end is part of; None if nothing moved lately."""
    start, quiet, count = None, 0, 0
    for at in range(len(out) - 1, earliest - 1, -1):
        if out[at]:
            start, quiet, count = at, 0, count + 1
            continue
        quiet += 1
        if quiet > (GAP_S if start is not None else LATELY_S):
            break
    return start if count >= MOVED_S_MIN else None


def longest(out: Sequence[bool], earliest: int) -> int | None:
    """The start of the stretch with most moved seconds; of equals the later."""
    best: tuple[int, int] | None = None
    end = len(out)
    while (start := walk_back(out[:end], earliest)) is not None:
        found = (sum(out[start:end]), start)
        best = found if best is None else max(best, found)
        end = start
    return None if best is None or best[0] < ALONE_S_MIN else best[1]
