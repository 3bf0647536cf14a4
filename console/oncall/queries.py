"""Who is on call, and how to reach them.

Never nobody: with no schedule, or one that names only people who were shut out, all admins are on
call. Only on a console that nobody has signed in to yet is the answer empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User

from console.oncall import schedule
from console.oncall.models import Override, Seat
from console.oncall.schedule import Instead, Slot, Turns

AHEAD = timedelta(days=28)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person and the ways to reach them; empty: that way isn't known."""

    username: str
    email: str = ""
    slack_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCall:
    """Whom to page first, and whom if they don't answer.

    `primary` is one person, or all admins where nothing is scheduled; `secondary` may be empty.
    `until` is when the next change is due at the latest, None if none is planned.
    """

    primary: tuple[Contact, ...]
    secondary: tuple[Contact, ...] = ()
    until: datetime | None = None
    is_scheduled: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(contact.username for contact in (*self.primary, *self.secondary))


def on_call(now: datetime) -> OnCall:
    """Who is on call at `now`, from at most three queries."""
    people, turns, overrides = _schedule(now)
    slot = schedule.slot_at(now, turns, overrides)
    if not slot.primary:
        return OnCall(primary=admins(), until=slot.ends_at)
    if slot.secondary:
        second: tuple[Contact, ...] = (people[slot.secondary],)
    else:
        second = tuple(each for each in admins() if each.username != slot.primary)
    return OnCall(
        primary=(people[slot.primary],),
        secondary=second,
        until=slot.ends_at,
        is_scheduled=True,
    )


def is_on_call(username: str, now: datetime) -> bool:
    """Whether the schedule names the person now, first or second."""
    _, turns, overrides = _schedule(now)
    slot = schedule.slot_at(now, turns, overrides)
    return username in (slot.primary, slot.secondary)


def planned(now: datetime) -> Sequence[Slot]:
    """Who follows whom in the next four weeks."""
    _, turns, overrides = _schedule(now)
    return schedule.slots(now, now + AHEAD, turns, overrides)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideRow:
    """Somebody instead of the rotation. `is_under_way`: now, and not only later."""

    id: int
    person: str
    starts_at: datetime
    ends_at: datetime
    made_by: str
    is_under_way: bool


def overrides(now: datetime) -> Sequence[OverrideRow]:
    """Those that aren't over, the first to begin first. One query."""
    rows = Override.objects.filter(ends_at__gt=now).select_related("user")
    return [
        OverrideRow(
            id=row.pk,
            person=row.user.get_username(),
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            made_by=row.made_by,
            is_under_way=row.starts_at <= now,
        )
        for row in rows
    ]


def admins() -> tuple[Contact, ...]:
    rows = User.objects.filter(is_active=True, person__role="admin").select_related("person")
    return tuple(contact_of(user) for user in rows.order_by("pk"))


def contact_of(user: User) -> Contact:
    person = getattr(user, "person", None)
    return Contact(
        username=user.get_username(),
        email="" if person is None else person.email,
        slack_id="" if person is None else person.slack_id,
    )


def _schedule(now: datetime) -> tuple[Mapping[str, Contact], Turns | None, Sequence[Instead]]:
    """The people of the schedule by name, the rotation, and overrides that aren't over."""
    seats = list(
        Seat.objects.filter(user__is_active=True).select_related("rotation", "user__person")
    )
    standing = list(
        Override.objects.filter(ends_at__gt=now, user__is_active=True)
        .select_related("user__person")
        .order_by("id")
    )
    users = [*(seat.user for seat in seats), *(row.user for row in standing)]
    people = {user.get_username(): contact_of(user) for user in users}
    turns = None
    if seats:
        rotation = seats[0].rotation
        turns = Turns(
            starts_at=rotation.starts_at,
            days=rotation.turn_days,
            people=tuple(seat.user.get_username() for seat in seats),
        )
    overrides = tuple(
        Instead(person=row.user.get_username(), starts_at=row.starts_at, ends_at=row.ends_at)
        for row in standing
    )
    return people, turns, overrides
