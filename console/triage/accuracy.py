"""How good triage is, counted on drills whose fault was known, and never without the denominator.

Pure. A drill is a case only if an objective moved; else it is "not judged", which says something
about alerts and nothing about triage. A rate stands beside its Wilson interval, since twenty drills
are few, and beside what simpler rules would have scored on the same drills, since a rate alone
says nothing of how hard the cases were.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

Z_95 = 1.959964
TOP = 3

Pair = tuple[str, str]


class Verdict(StrEnum):
    RIGHT = "right"  # The first claim is the truth.
    TOP3 = "top3"  # The second or third is.
    MISS = "miss"
    ABSTAINED = "abstained"
    FALSE_ALARM = "false_alarm"  # A cause was named in a control, where nothing was broken.
    QUIET = "quiet"  # A control in which nothing was named.
    NOT_JUDGED = "not_judged"  # No objective moved, or no answer was asked for.


WORDS: Mapping[str, tuple[str, str]] = {
    "right": ("ok", "right first"),
    "top3": ("warning", "in the first three"),
    "miss": ("firing", "miss"),
    "abstained": ("unknown", "abstained"),
    "false_alarm": ("firing", "false alarm"),
    "quiet": ("ok", "rightly quiet"),
    "not_judged": ("idle", "not judged: no objective moved"),
}
"""Verdict to the shape and the word that pages show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A share of `total`, with its 95 % Wilson interval, all from 0 to 1."""

    count: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.count / self.total if self.total else 0.0


def wilson(count: int, total: int) -> Interval:
    """The interval that a share of few cases deserves; 0 to 1 while there is none."""
    assert 0 <= count <= total, (count, total)
    if total == 0:
        return Interval(count=0, total=0, low=0.0, high=1.0)
    share = count / total
    square = Z_95 * Z_95
    middle = (share + square / (2 * total)) / (1 + square / total)
    spread = math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    half = Z_95 * spread / (1 + square / total)
    return Interval(
        count=count, total=total, low=max(0.0, middle - half), high=min(1.0, middle + half)
    )


def verdict_of(*, truth: Pair | None, claims: Sequence[Pair], has_moved: bool) -> Verdict:
    """How one drill went. `truth` None: a control. `has_moved`: an objective did, so an answer
    was due."""
    if truth is None:
        return Verdict.FALSE_ALARM if claims else Verdict.QUIET
    if not has_moved:
        return Verdict.NOT_JUDGED
    if not claims:
        return Verdict.ABSTAINED
    if claims[0] == truth:
        return Verdict.RIGHT
    return Verdict.TOP3 if truth in claims[1:TOP] else Verdict.MISS


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One judged drill, as the page shows it. Times are seconds after the fault."""

    run_id: int
    scenario: str
    truth: Pair
    named: Pair
    verdict: Verdict
    incident_id: int | None
    started_ms: int
    detected_s: float | None
    named_s: float | None
    mitigated_s: float | None
    baselines: Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The score over some cases; `name` is a kind, a rule, or "all"."""

    name: str
    first: Interval
    top3: Interval
    detected_p50_s: float | None = None
    named_p50_s: float | None = None
    mitigated_p50_s: float | None = None


SCORED = (Verdict.RIGHT, Verdict.TOP3, Verdict.MISS, Verdict.ABSTAINED)
CONTROLS = (Verdict.FALSE_ALARM, Verdict.QUIET)


def scored(cases: Iterable[Case]) -> list[Case]:
    return [case for case in cases if case.verdict in SCORED]


def tally(name: str, cases: Sequence[Case]) -> Tally:
    judged = scored(cases)
    right = sum(1 for case in judged if case.verdict is Verdict.RIGHT)
    near = right + sum(1 for case in judged if case.verdict is Verdict.TOP3)
    return Tally(
        name=name,
        first=wilson(right, len(judged)),
        top3=wilson(near, len(judged)),
        detected_p50_s=median([case.detected_s for case in judged]),
        named_p50_s=median([case.named_s for case in judged]),
        mitigated_p50_s=median([case.mitigated_s for case in judged]),
    )


def by_kind(cases: Sequence[Case]) -> list[Tally]:
    kinds = sorted({case.truth[1] for case in scored(cases)})
    return [tally(kind, [case for case in cases if case.truth[1] == kind]) for kind in kinds]


def by_rule(cases: Sequence[Case]) -> list[Tally]:
    """What simpler rules would have scored on the same cases."""
    judged = [case for case in scored(cases) if case.baselines]
    rules = sorted({rule for case in judged for rule in case.baselines})
    found = []
    for rule in rules:
        right = sum(1 for case in judged if case.baselines.get(rule, False))
        score = wilson(right, len(judged))
        found.append(Tally(name=rule, first=score, top3=score))
    return found


def false_alarms(cases: Sequence[Case]) -> Interval:
    controls = [case for case in cases if case.verdict in CONTROLS]
    return wilson(sum(1 for case in controls if case.verdict is Verdict.FALSE_ALARM), len(controls))


def median(values: Iterable[float | None]) -> float | None:
    """Of those that are known; None if none is."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    middle = len(known) // 2
    return known[middle] if len(known) % 2 else (known[middle - 1] + known[middle]) / 2
