"""What one part last said of itself, and how far that can be believed.

A reading is `ok` only if the part answered this round. Silent for less than 15 s it is `stale`: its
last value is still shown, muted, with its time. After that, or if it never answered, it is `blind`.
No value is ever invented for a part that is silent.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

BLIND_AFTER_MS = 15_000

T = TypeVar("T")


class Sight(StrEnum):
    OK = "ok"
    STALE = "stale"
    BLIND = "blind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Generic[T]):
    """`value` is the last answer (None: never one), given at `as_of_ms`."""

    part: str
    value: T | None
    as_of_ms: int | None
    sight: Sight
    reason: str  # Why there is no fresh answer, for people; "" when there is one.

    @property
    def current(self) -> T | None:
        """The value if it may be shown as true now."""
        return self.value if self.sight is Sight.OK else None


def answered(part: str, value: T, now_ms: int) -> Reading[T]:
    return Reading(part=part, value=value, as_of_ms=now_ms, sight=Sight.OK, reason="")


def silent(part: str, before: Reading[T] | None, reason: str, now_ms: int) -> Reading[T]:
    """The part did not answer: keep what it said `before`, with the time it said it."""
    as_of_ms = before.as_of_ms if before is not None else None
    value = before.value if before is not None else None
    fresh_enough = as_of_ms is not None and now_ms - as_of_ms < BLIND_AFTER_MS
    sight = Sight.STALE if fresh_enough else Sight.BLIND
    return Reading(part=part, value=value, as_of_ms=as_of_ms, sight=sight, reason=reason)
