"""Is there one order of the operations on a key that explains every answer? A search. Pure.

After Wing and Gong, with Lowe's memory of configurations already seen: take operations one by one,
each only while no other that had completed before it was asked is left out, and go back when an
answer can't be explained. Exponential at worst, quick for the few clients that a drill has; a
budget of steps bounds it, and running out of it is said, never guessed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Step(NamedTuple):
    """One operation on the register of a key, as the search sees it.

    `reads` is the value that it must find (None: any), `writes` the value that it leaves (None:
    it leaves what is there). `end` is None where nobody knows whether it happened: then it may
    take effect at any time after `start`, or never.
    """

    start: int
    end: int | None
    reads: int | None
    writes: int | None


class OutOfSteps(Exception):
    """The budget was too small to decide."""


class Budget:
    """Steps left, shared by all searches of one check."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self) -> None:
        if self.left <= 0:
            raise OutOfSteps
        self.left -= 1


class _Entry:
    """A call or a return in the list of what happened, linked so that a pair can be lifted out."""

    __slots__ = ("after", "before", "is_call", "number", "partner")

    def __init__(self, number: int, *, is_call: bool) -> None:
        self.number = number
        self.is_call = is_call
        self.partner: _Entry | None = None
        self.before: _Entry | None = None
        self.after: _Entry | None = None


def is_linearizable(steps: Sequence[Step], *, initial: int, budget: Budget) -> bool:
    """Whether one order explains all answers, from `initial` on. Raises OutOfSteps."""
    head = _listed(steps)
    needed = sum(1 for step in steps if step.end is not None)
    taken_needed, state, taken = 0, initial, 0
    undo: list[tuple[_Entry, int]] = []
    seen: set[tuple[int, int]] = set()
    entry = head.after
    while taken_needed < needed:
        budget.spend()
        if entry is not None and entry.is_call:
            step = steps[entry.number]
            after = state if step.writes is None else step.writes
            configuration = (taken | 1 << entry.number, after)
            if step.reads in (None, state) and configuration not in seen:
                seen.add(configuration)
                undo.append((entry, state))
                taken, state = configuration
                taken_needed += step.end is not None
                _lift(entry)
                entry = head.after
            else:
                entry = entry.after
            continue
        if not undo:
            return False
        # A return whose call was not taken, or the end: what was taken last was wrong.
        last, state = undo.pop()
        taken ^= 1 << last.number
        taken_needed -= steps[last.number].end is not None
        _put_back(last)
        entry = last.after
    return True


def _listed(steps: Sequence[Step]) -> _Entry:
    """All calls and returns by time; at the same moment calls come first, which forbids less."""
    moments: list[tuple[int, int, int]] = []
    for number, step in enumerate(steps):
        moments.append((step.start, 0, number))
        if step.end is not None:
            moments.append((step.end, 1, number))
    head = last = _Entry(-1, is_call=True)
    calls: dict[int, _Entry] = {}
    for _, is_return, number in sorted(moments):
        entry = _Entry(number, is_call=not is_return)
        if is_return:
            calls[number].partner = entry
        else:
            calls[number] = entry
        last.after, entry.before = entry, last
        last = entry
    return head


def _lift(call: _Entry) -> None:
    for entry in (call, call.partner):
        if entry is not None:
            assert entry.before is not None, "the head is never lifted"
            entry.before.after = entry.after
            if entry.after is not None:
                entry.after.before = entry.before


def _put_back(call: _Entry) -> None:
    for entry in (call.partner, call):
        if entry is not None:
            assert entry.before is not None, "the head is never lifted"
            entry.before.after = entry
            if entry.after is not None:
                entry.after.before = entry
