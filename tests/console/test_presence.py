"""Who is looking at an incident now."""

from __future__ import annotations

from console.incidents import limits
from console.incidents.presence import Presence


def test_who_is_there_stays_there_however_many_come_after() -> None:
    presence = Presence()
    for number in range(limits.PRESENT_MAX + 10):
        presence.note(1, f"p{number:04}", now_s=0.0)

    presence.note(1, "p0000", now_s=limits.PRESENCE_S - 1)
    presence.note(2, "late", now_s=limits.PRESENCE_S - 1)

    assert presence.here(1, now_s=limits.PRESENCE_S + 1) == ["p0000"]
    assert presence.here(2, now_s=limits.PRESENCE_S + 1) == []


def test_who_left_makes_room() -> None:
    presence = Presence()
    for number in range(limits.PRESENT_MAX):
        presence.note(1, f"p{number:04}", now_s=0.0)

    presence.note(2, "late", now_s=limits.PRESENCE_S + 1)

    assert presence.here(2, now_s=limits.PRESENCE_S + 1) == ["late"]
