"""Medians and ranges: statistics that a few wild values can't move.

Pure. A start time that is a minute off costs a method of means most of its hits and one of medians
hardly any (RCAEval, table 5), so nothing in triage takes a mean of a noisy series.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

IQR_OF_NORMAL = 1.349
"""Interquartile range of a normal distribution of scale 1."""
SCALE_SHARE_MIN = 0.1
"""A series that hardly moved would make any step infinite; its scale is at least this share."""


def known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def quantile(values: Sequence[float], share: float) -> float:
    """Nearest rank; of nothing, 0."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def median(values: Sequence[float]) -> float:
    return quantile(values, 0.5)


def scale(values: Sequence[float], least: float) -> float:
    """How far values usually lie from their median, at least `least`."""
    spread = (quantile(values, 0.75) - quantile(values, 0.25)) / IQR_OF_NORMAL
    return max(spread, SCALE_SHARE_MIN * abs(median(values)), least)


def z(value: float, values: Sequence[float], least: float) -> float:
    """How many scales a value lies from the median of others."""
    return (value - median(values)) / scale(values, least)


def ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high`, straight between."""
    assert low < high, (low, high)
    return min(1.0, max(0.0, (value - low) / (high - low)))


def ratio(value: float, base: float, least: float) -> float:
    """value / base where both are at least `least`, so that nothing over almost nothing is 1."""
    return max(value, least) / max(base, least)


def longest_run(flags: Iterable[bool]) -> int:
    """The longest stretch of True."""
    best = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        best = max(best, run)
    return best
