"""Who is on call at a moment, computed from a rotation and overrides. Pure.

Turns are whole days of 24 hours in UTC, so the hour of the hand-over moves with summer time; what
can't happen is a turn of no length or two people for one hour. Someone who was shut out keeps no
seat: the turns close up. An override puts its person first; who would have been first is second.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """The rotation: `people` in order, each for `days`, the first from `starts_at` on."""

    starts_at: datetime
    days: int
    people: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instead:
    """One override; later ones in a sequence were made later."""

    person: str
    starts_at: datetime
    ends_at: datetime

    def covers(self, at: datetime) -> bool:
        return self.starts_at <= at < self.ends_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """From `starts_at` until `ends_at` this is so. Empty names: nobody is scheduled."""

    primary: str
    secondary: str
    starts_at: datetime
    ends_at: datetime | None
    is_override: bool = False

    def same_people(self, other: "Slot") -> bool:
        return (self.primary, self.secondary) == (other.primary, other.secondary)


def slot_at(at: datetime, turns: Turns | None, overrides: Sequence[Instead]) -> Slot:
    """Who is first and second at `at`, and until when at the latest that holds."""
    first, second, ends_at = _by_turn(at, turns)
    standing = [each for each in overrides if each.covers(at)]
    changes = [each.starts_at for each in overrides if each.starts_at > at]
    if standing:
        person = standing[-1].person
        changes += [standing[-1].ends_at]
        second = first if first != person else second
        second = "" if second == person else second
        first = person
    if ends_at is not None:
        changes.append(ends_at)
    return Slot(
        primary=first,
        secondary=second,
        starts_at=at,
        ends_at=min(changes, default=None),
        is_override=bool(standing),
    )


def _by_turn(at: datetime, turns: Turns | None) -> tuple[str, str, datetime | None]:
    if turns is None or not turns.people:
        return "", "", None
    if at < turns.starts_at:
        return "", "", turns.starts_at
    length = timedelta(days=turns.days)
    number = (at - turns.starts_at) // length
    first = turns.people[number % len(turns.people)]
    second = turns.people[(number + 1) % len(turns.people)]
    return first, "" if second == first else second, turns.starts_at + (number + 1) * length


def slots(
    since: datetime, until: datetime, turns: Turns | None, overrides: Sequence[Instead]
) -> Sequence[Slot]:
    """What follows what from `since` until `until`; neighbours differ."""
    found: list[Slot] = []
    at = since
    while at < until:
        slot = slot_at(at, turns, overrides)
        assert slot.ends_at is None or slot.ends_at > at, "time goes on"
        if found and found[-1].same_people(slot):
            slot = replace(slot, starts_at=found.pop().starts_at)
        found.append(slot)
        if slot.ends_at is None:
            break
        at = slot.ends_at
    return found
