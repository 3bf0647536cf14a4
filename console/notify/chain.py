"""Who is paged after whom, and the proof that it was done. Pure.

Whoever is on call is told at once. If nobody acknowledges within the wait, the second person is;
then the first again, and so on for ROUNDS rounds: a page that nobody answers for that long needs
more than another message. The auditor doesn't trust the chain: from what was written down it works
out which step is overdue, and an overdue step is itself paged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ROUNDS: Final = 6
STEPS_MAX: Final = 2 * ROUNDS
AUDIT_GRACE_MS: Final = 20_000
"""A step may be this late before it counts as missed: the watcher looks each second."""

FIRST: Final = "first"
SECOND: Final = "second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the chain of one incident has come. `due_ms` is when the next step is."""

    taken_count: int
    due_ms: int

    @property
    def is_over(self) -> bool:
        return self.taken_count >= STEPS_MAX


def begin(now_ms: int) -> Standing:
    return Standing(taken_count=0, due_ms=now_ms)


def is_due(standing: Standing, now_ms: int) -> bool:
    return not standing.is_over and now_ms >= standing.due_ms


def whom(step: int) -> str:
    return FIRST if step % 2 == 0 else SECOND


def take(standing: Standing, now_ms: int, *, wait_ms: int) -> Standing:
    """After a step: the next is due a wait later, however late this one was."""
    return Standing(taken_count=standing.taken_count + 1, due_ms=now_ms + wait_ms)


def overdue_ms(
    *, opened_ms: int, taken_count: int, last_taken_ms: int | None, now_ms: int, wait_ms: int
) -> int:
    """How late the next step is beyond the grace, in ms; 0: nothing is missed."""
    if taken_count >= STEPS_MAX:
        return 0
    due_ms = opened_ms if last_taken_ms is None else last_taken_ms + wait_ms
    return max(0, now_ms - due_ms - AUDIT_GRACE_MS)
