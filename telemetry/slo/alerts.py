"""When a condition becomes an alert, gets worse, and ends.

Each second the rules say what is true now (`Condition`); the board remembers what it told and says
only what changed (`Transition`). One trouble is one alert: a rule fires once however many of its
tiers hold, the fastest one gives it its words, and slower ones stay silent beside it.

What always holds: an alert ends only after its condition was seen to be false for RESOLVE_HOLD_MS.
A condition that can't be judged now, because its evidence is missing, neither fires nor ends: not
seeing is not being well. Pure: time comes in as a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

RESOLVE_HOLD_MS: Final = 30_000
WORSE_AFTER_MS: Final = 30_000
"""Nobody is told more often than this that the same trouble grew."""
WORSE_FACTOR: Final = 2.0
SPEED_UNKNOWN: Final = 99
"""Of an alert that an earlier watcher told: it is not told again for its tier."""

FIRING: Final = "firing"
WORSENED: Final = "worsened"
RESOLVED: Final = "resolved"
PAGE: Final = "page"
TICKET: Final = "ticket"
SEVERITIES: Final = (TICKET, PAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a rule holds to be true now, since `since_ms`. `value` grows with the trouble; `speed`
    says which of a rule's tiers is faster.
    """

    rule: str
    tier: str
    severity: str
    headline: str
    since_ms: int
    labels: Mapping[str, str] = field(default_factory=dict)
    value: float | None = None
    speed: int = 0

    @property
    def key(self) -> str:
        return key_of(self.rule, self.labels)

    def with_labels(self, labels: Mapping[str, str]) -> Condition:
        return replace(self, labels=labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A change that somebody may have to be told of. `at_ms` is when it was decided, `started_ms`
    when the trouble began, both Unix ms. `value` is what the headline counts: a percentage, nodes,
    or seconds; None where there is none.
    """

    at_ms: int
    rule: str
    tier: str
    severity: str  # page | ticket
    state: str  # firing | worsened | resolved
    headline: str
    started_ms: int
    labels: Mapping[str, str]
    value: float | None

    @property
    def key(self) -> str:
        """The same for every transition of one trouble, and for the next time it happens."""
        return key_of(self.rule, self.labels)


def key_of(rule: str, labels: Mapping[str, str]) -> str:
    """A rule about one node has one alert for each node."""
    node = labels.get("node", "")
    return f"{rule}/{node}" if node else rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """An alert that has not ended, as it was last told."""

    told: Transition
    latest: Condition
    seen_ms: int  # when the condition was last true, or could not be judged
    speed: int = 0  # of what was told


class Board:
    """The alerts that are firing."""

    def __init__(self) -> None:
        self._firing: dict[str, Firing] = {}

    @property
    def firing(self) -> tuple[Firing, ...]:
        """Worst first, then oldest."""
        rows = self._firing.values()
        oldest_first = sorted(rows, key=lambda firing: firing.told.started_ms)
        return tuple(sorted(oldest_first, key=lambda firing: rank(firing.latest), reverse=True))

    def resume(self, told: Iterable[Transition], *, now_ms: int) -> None:
        """Take over what an earlier watcher told and nobody ended, so that it isn't told again."""
        for each in told:
            latest = Condition(
                rule=each.rule,
                tier=each.tier,
                severity=each.severity,
                headline=each.headline,
                since_ms=each.started_ms,
                labels=each.labels,
                value=each.value,
            )
            resumed = Firing(told=each, latest=latest, seen_ms=now_ms, speed=SPEED_UNKNOWN)
            self._firing.setdefault(each.key, resumed)

    def judge(
        self, conditions: Sequence[Condition], *, now_ms: int, unseen: frozenset[str] = frozenset()
    ) -> tuple[Transition, ...]:
        """What changed. `unseen` names rules whose evidence is missing now."""
        worst: dict[str, Condition] = {}
        for condition in conditions:
            known = worst.get(condition.key)
            if known is None or rank(condition) > rank(known):
                worst[condition.key] = condition
        found = [self._meet(condition, now_ms) for condition in worst.values()]
        found += [
            self._miss(key, now_ms, is_unseen=self._firing[key].latest.rule in unseen)
            for key in sorted(set(self._firing) - set(worst))
        ]
        return tuple(change for change in found if change is not None)

    def _meet(self, condition: Condition, now_ms: int) -> Transition | None:
        before = self._firing.get(condition.key)
        if before is None:
            change = _told(condition, FIRING, now_ms, condition.since_ms)
            self._firing[condition.key] = _firing(change, condition, now_ms)
            return change
        if not _is_worse(before, condition, now_ms):
            # The tier that woke people stays the alert's, also when only a slower one holds now.
            self._firing[condition.key] = replace(before, latest=condition, seen_ms=now_ms)
            return None
        change = _told(condition, WORSENED, now_ms, before.told.started_ms)
        self._firing[condition.key] = _firing(change, condition, now_ms)
        return change

    def _miss(self, key: str, now_ms: int, *, is_unseen: bool) -> Transition | None:
        before = self._firing[key]
        if is_unseen:
            self._firing[key] = replace(before, seen_ms=now_ms)
            return None
        if now_ms - before.seen_ms < RESOLVE_HOLD_MS:
            return None
        del self._firing[key]
        return replace(before.told, at_ms=now_ms, state=RESOLVED)


def rank(condition: Condition) -> tuple[int, int]:
    """Worse is greater."""
    return SEVERITIES.index(condition.severity), condition.speed


def _is_worse(before: Firing, condition: Condition, now_ms: int) -> bool:
    """A faster tier or a higher severity is told at once, more of the same once in a while."""
    told = before.told
    if rank(condition) > (SEVERITIES.index(told.severity), before.speed):
        return True
    if now_ms - told.at_ms < WORSE_AFTER_MS or condition.severity != told.severity:
        return False
    if told.value is None or condition.value is None:
        return False
    return condition.value >= WORSE_FACTOR * told.value > 0


def _firing(told: Transition, condition: Condition, now_ms: int) -> Firing:
    return Firing(told=told, latest=condition, seen_ms=now_ms, speed=condition.speed)


def _told(condition: Condition, state: str, now_ms: int, started_ms: int) -> Transition:
    return Transition(
        at_ms=now_ms,
        rule=condition.rule,
        tier=condition.tier,
        severity=condition.severity,
        state=state,
        headline=condition.headline,
        started_ms=started_ms,
        labels=condition.labels,
        value=condition.value,
    )
