from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from hypothesis import given
from hypothesis import strategies as st

from console.accounts.roles import Role, role_of
from console.oncall.actions import BadSchedule, add_override, end_override, set_rotation
from console.oncall.limits import OVERRIDE_DAYS_MAX, SEATS_MAX
from console.oncall.models import Override
from console.oncall.queries import on_call, planned
from console.oncall.schedule import Instead, Turns, slot_at, slots
from tests.console.conftest import make_person

MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = 7 * DAY
PEOPLE = ("ada", "bob", "cyd")


def hours(*, most: int) -> st.SearchStrategy[timedelta]:
    return st.integers(0, most).map(lambda hour: timedelta(hours=hour))


@st.composite
def overrides(draw: st.DrawFn) -> list[Instead]:
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from([*PEOPLE, "dan"]), hours(most=1000), hours(most=200)),
            max_size=5,
        )
    )
    return [
        Instead(
            person=person,
            starts_at=MONDAY + start,
            ends_at=MONDAY + start + length + timedelta(hours=1),
        )
        for person, start, length in rows
    ]


@given(overrides(), st.integers(1, 9), st.integers(0, 3), hours(most=1000))
def test_who_is_first_is_the_newest_override_or_else_the_turn(
    standing: list[Instead], days: int, seats: int, after: timedelta
) -> None:
    at = MONDAY + after
    turns = Turns(starts_at=MONDAY, days=days, people=PEOPLE[:seats])

    slot = slot_at(at, turns, standing)

    days_gone = after.days // days
    naive = PEOPLE[days_gone % seats] if seats else ""
    for each in standing:
        naive = each.person if each.starts_at <= at < each.ends_at else naive
    assert slot.primary == naive
    assert slot.secondary != slot.primary or slot.primary == ""


@given(overrides(), st.integers(1, 9), st.integers(0, 3))
def test_what_is_planned_agrees_with_every_hour(
    standing: list[Instead], days: int, seats: int
) -> None:
    turns = Turns(starts_at=MONDAY, days=days, people=PEOPLE[:seats])
    until = MONDAY + timedelta(hours=400)

    plan = slots(MONDAY, until, turns, standing)

    for hour in range(400):
        at = MONDAY + timedelta(hours=hour)
        slot = next(s for s in plan if s.starts_at <= at and (not s.ends_at or at < s.ends_at))
        assert slot.same_people(slot_at(at, turns, standing))
    assert not any(a.same_people(b) for a, b in pairwise(plan))


@pytest.fixture
def people(db: None) -> list[User]:
    return [make_person(name, role) for name, role in zip(PEOPLE, ROLES, strict=True)]


ROLES = ("admin", "viewer", "viewer")


def test_turns_change_at_the_hour_and_the_next_in_line_is_second(people: list[User]) -> None:
    set_rotation(PEOPLE, starts_at=MONDAY, turn_days=7)

    first = on_call(MONDAY)
    last_second = on_call(MONDAY + WEEK - timedelta(seconds=1))
    second = on_call(MONDAY + WEEK)

    assert first.names == last_second.names == ("ada", "bob")
    assert second.names == ("bob", "cyd") and second.until == MONDAY + 2 * WEEK
    assert on_call(MONDAY + 3 * WEEK).names == ("ada", "bob")


def test_with_no_schedule_all_admins_are_on_call(people: list[User]) -> None:
    make_person("zoe", "admin")

    on = on_call(MONDAY)

    assert on.names == ("ada", "zoe") and not on.is_scheduled


def test_before_the_first_turn_all_admins_are_on_call(people: list[User]) -> None:
    set_rotation(["bob"], starts_at=MONDAY, turn_days=7)

    assert on_call(MONDAY - DAY).names == ("ada",)
    assert on_call(MONDAY - DAY).until == MONDAY


def test_who_was_shut_out_keeps_no_turn_and_never_leaves_nobody(people: list[User]) -> None:
    set_rotation(["bob"], starts_at=MONDAY, turn_days=7)
    User.objects.filter(username="bob").update(is_active=False)

    assert on_call(MONDAY).names == ("ada",)


def test_alone_in_the_rotation_the_admins_come_second(people: list[User]) -> None:
    set_rotation(["bob"], starts_at=MONDAY, turn_days=7)

    assert on_call(MONDAY).names == ("bob", "ada")


def test_an_override_puts_its_person_first_and_the_turn_second(people: list[User]) -> None:
    set_rotation(PEOPLE, starts_at=MONDAY, turn_days=7)
    add_override("cyd", starts_at=MONDAY + DAY, ends_at=MONDAY + 2 * DAY, made_by="ada", now=MONDAY)

    assert on_call(MONDAY).names == ("ada", "bob") and on_call(MONDAY).until == MONDAY + DAY
    assert on_call(MONDAY + DAY).names == ("cyd", "ada")
    assert on_call(MONDAY + 2 * DAY).names == ("ada", "bob")
    assert [slot.primary for slot in planned(MONDAY)] == ["ada", "cyd", "ada", "bob", "cyd", "ada"]


def test_an_override_ends_at_once_when_told_and_one_to_come_never_was(people: list[User]) -> None:
    row = add_override("cyd", starts_at=MONDAY, ends_at=MONDAY + DAY, made_by="ada", now=MONDAY)
    later = add_override(
        "bob", starts_at=MONDAY + DAY, ends_at=MONDAY + WEEK, made_by="ada", now=MONDAY
    )

    assert end_override(row.pk, now=MONDAY + timedelta(hours=1))
    assert end_override(later.pk, now=MONDAY + timedelta(hours=1))
    assert not end_override(row.pk, now=MONDAY + timedelta(hours=2))
    assert on_call(MONDAY + timedelta(hours=1)).names == ("ada",)
    assert Override.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"people": ["ada", "ada"]}, "people"),
        ({"people": [f"p{n}" for n in range(SEATS_MAX + 1)]}, "people"),
        ({"people": ["nobody"]}, "people"),
        ({"turn_days": 0}, "turn_days"),
        ({"turn_days": 29}, "turn_days"),
    ],
)
def test_a_bad_rotation_is_refused_and_the_old_one_stays(
    people: list[User], change: dict[str, Any], field: str
) -> None:
    set_rotation(["ada", "bob"], starts_at=MONDAY, turn_days=7)
    asked: dict[str, Any] = {"people": ["cyd"], "turn_days": 7} | change

    with pytest.raises(BadSchedule) as refusal:
        set_rotation(asked["people"], starts_at=MONDAY, turn_days=asked["turn_days"])

    assert refusal.value.field == field
    assert on_call(MONDAY).names == ("ada", "bob")


@pytest.mark.parametrize(
    ("starts", "ends"),
    [(DAY, DAY), (DAY, timedelta(0)), (timedelta(0), (OVERRIDE_DAYS_MAX + 1) * DAY), (-WEEK, -DAY)],
)
def test_an_override_has_a_length_an_end_to_come_and_a_limit(
    people: list[User], starts: timedelta, ends: timedelta
) -> None:
    with pytest.raises(BadSchedule, match="ends"):
        add_override(
            "ada", starts_at=MONDAY + starts, ends_at=MONDAY + ends, made_by="ada", now=MONDAY
        )


def test_being_on_call_makes_a_responder_for_the_shift_and_takes_nothing(
    people: list[User],
) -> None:
    ada, bob, cyd = people
    set_rotation(PEOPLE[:2], starts_at=MONDAY, turn_days=7)

    during, after = MONDAY + DAY, MONDAY - DAY
    assert role_of(bob, now=during) is Role.RESPONDER
    assert role_of(bob, now=after) is Role.VIEWER
    assert role_of(cyd, now=during) is Role.VIEWER
    assert role_of(ada, now=during) is Role.ADMIN


def test_asking_takes_as_many_queries_for_many_as_for_few(
    people: list[User], django_assert_max_num_queries: Any
) -> None:
    set_rotation(PEOPLE, starts_at=MONDAY, turn_days=7)
    for number in range(9):
        start = MONDAY + number * DAY
        add_override("bob", starts_at=start, ends_at=start + DAY, made_by="ada", now=MONDAY)

    with django_assert_max_num_queries(3):
        on_call(MONDAY)
