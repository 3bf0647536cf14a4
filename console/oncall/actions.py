"""Changing the schedule. Who may, and the audit row, are the caller's."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction

from console.oncall.limits import OVERRIDE_DAYS_MAX, OVERRIDES_MAX, SEATS_MAX, TURN_DAYS_MAX
from console.oncall.models import Override, Rotation, Seat

ROTATION_ID = 1


class BadSchedule(Exception):
    """What was asked for can't be a schedule: which field, and what is allowed."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected} expected")
        self.field = field
        self.expected = expected


def set_rotation(people: Sequence[str], *, starts_at: datetime, turn_days: int) -> None:
    """Replace the rotation; with no people there is none. Raises BadSchedule."""
    if len(people) > SEATS_MAX or len(set(people)) != len(people):
        raise BadSchedule("people", f"at most {SEATS_MAX} names, each once")
    if not 1 <= turn_days <= TURN_DAYS_MAX:
        raise BadSchedule("turn_days", f"1 to {TURN_DAYS_MAX}")
    users = [_person(name) for name in people]
    with transaction.atomic():
        Rotation.objects.all().delete()
        if not users:
            return
        rotation = Rotation.objects.create(id=ROTATION_ID, starts_at=starts_at, turn_days=turn_days)
        Seat.objects.bulk_create(
            Seat(rotation=rotation, position=position, user=user)
            for position, user in enumerate(users)
        )


def add_override(
    person: str, *, starts_at: datetime, ends_at: datetime, made_by: str, now: datetime
) -> Override:
    """Raises BadSchedule."""
    user = _person(person)
    if not starts_at < ends_at <= starts_at + timedelta(days=OVERRIDE_DAYS_MAX):
        raise BadSchedule("ends", f"after the start and at most {OVERRIDE_DAYS_MAX} days later")
    if ends_at <= now:
        raise BadSchedule("ends", "a time to come")
    with transaction.atomic():
        if Override.objects.filter(ends_at__gt=now).count() >= OVERRIDES_MAX:
            raise BadSchedule("overrides", f"at most {OVERRIDES_MAX} that aren't over")
        return Override.objects.create(
            user=user, starts_at=starts_at, ends_at=ends_at, made_by=made_by
        )


def end_override(override_id: int, *, now: datetime) -> bool:
    """Whether this call ended it: one under way ends now, one to come never was."""
    under_way = Override.objects.filter(pk=override_id, starts_at__lt=now, ends_at__gt=now)
    if under_way.update(ends_at=now):
        return True
    deleted, _ = Override.objects.filter(pk=override_id, starts_at__gte=now).delete()
    return deleted == 1


def _person(name: str) -> User:
    user = User.objects.filter(username=name, is_active=True).first()
    if user is None:
        raise BadSchedule("people", f"people of this console, not {name[:60]!r}")
    return user
