"""Did clients see one copy of the data, changing at one instant per change? Decided from the
history alone. Pure.

Each key is a register of its own. First the facts that make a proof cheap: every value read was
written by somebody, and versions and values name each other one to one. Then, since a version of
this store is the place of its entry in the log, the versions of a key are an order that can simply
be checked against real time, in O(n log n): if no operation comes back with an older version than
another one that had ended before, that order is the proof. Where there are deletions (absence has
no version) or the order fails, a search decides; what it finds impossible is shrunk to the few
operations that can't be explained together.

Operations of unknown outcome may have happened at any later time or never. Too many of them prove
nothing either way, and are called undecided, never fine.

Read next: `search`, `counterexample`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from runbooks.drills import counterexample
from runbooks.drills.counterexample import Register, label
from runbooks.drills.history import ABSENT, Kind, Operation, Outcome
from runbooks.drills.measure import version_number
from runbooks.drills.search import Budget, OutOfSteps


class ConsistencyVerdict(StrEnum):
    LINEARIZABLE = "linearizable"
    VIOLATED = "violated"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """What was checked and what came of it. `counterexample` is in order of asking; `culprit` is
    the index of the operation that can't be explained, if one can be named.
    """

    verdict: ConsistencyVerdict
    operations: int
    unknown: int
    keys: int
    searched: int
    sentence: str = ""
    counterexample: tuple[Operation, ...] = ()
    culprit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Violation:
    sentence: str
    operations: tuple[Operation, ...]
    culprit: int | None


def check(
    operations: Sequence[Operation], *, steps_max: int, unknown_share_max: float
) -> Consistency:
    """The verdict on a whole history. `steps_max` bounds all searches together."""
    keys: dict[str, list[Operation]] = defaultdict(list)
    for op in operations:
        keys[op.key].append(op)
    changes = sum(1 for op in operations if op.is_change)
    unknown = sum(1 for op in operations if op.is_change and op.outcome is Outcome.INFO)
    budget = Budget(steps_max)
    searched, undecided = 0, ""
    violation: _Violation | None = None
    for key, ops in keys.items():
        register = counterexample.register_of(ops)
        violation = _impossible(register)
        pair = None
        if violation is None and _is_ordered(register):
            pair = _against_time(register)
            if pair is None and _replaces_follow(register):
                continue
        if violation is None:
            searched += 1
            try:
                if register.is_explained(budget):
                    continue
            except OutOfSteps:
                undecided = undecided or f"the search for an order on {key} ran out of steps"
                continue
            violation = _shrunk(register, pair)
        break
    if violation is None and not undecided and unknown > unknown_share_max * max(1, changes):
        undecided = f"{unknown} of {changes} changes have an unknown outcome, too many to prove it"
    verdict = ConsistencyVerdict.UNDECIDED if undecided else ConsistencyVerdict.LINEARIZABLE
    return Consistency(
        verdict=verdict if violation is None else ConsistencyVerdict.VIOLATED,
        operations=len(operations),
        unknown=unknown,
        keys=len(keys),
        searched=searched,
        sentence=undecided if violation is None else violation.sentence,
        counterexample=() if violation is None else violation.operations,
        culprit=None if violation is None else violation.culprit,
    )


def _impossible(register: Register) -> _Violation | None:
    """What no order could explain: a value out of nowhere, or a version that names two values."""
    for op in register.looks:
        seen = op.value
        assert seen is not None, "a good read saw something"
        if seen == ABSENT:
            continue
        writer = register.asked.get(seen)
        if writer is None:
            sentence = f"Client {op.client} read a value that nobody wrote"
            return _Violation(sentence=sentence, operations=(op,), culprit=op.index)
        if writer.outcome is Outcome.FAIL:
            sentence = f"Client {op.client} read a value whose write had been refused"
            return _Violation(sentence=sentence, operations=(writer, op), culprit=op.index)
    by_version: dict[str, Operation] = {}
    for op in sorted(register.versioned, key=lambda op: op.invoked_us):
        first = by_version.setdefault(op.version, op)
        if first.value != op.value:
            sentence = f"Version {label(op.version)} names two different values"
            return _Violation(sentence=sentence, operations=(first, op), culprit=op.index)
    by_value: dict[int | None, Operation] = {}
    for op in sorted(register.versioned, key=lambda op: op.invoked_us):
        first = by_value.setdefault(op.value, op)
        if first.version != op.version:
            sentence = (
                f"One value came back as version {label(first.version)} and as version "
                f"{label(op.version)}"
            )
            return _Violation(sentence=sentence, operations=(first, op), culprit=op.index)
    return None


def _is_ordered(register: Register) -> bool:
    """Whether every operation has its place among the versions."""
    if any(op.kind is Kind.DELETE for op in register.members):
        return False
    return all(register.place(op) is not None for op in register.members)


def _against_time(register: Register) -> tuple[Operation, Operation] | None:
    """Two operations, the first of which had ended when the second was asked, although its version
    comes later; None if there is no such pair, which proves the order of the versions right.
    """
    by_start = sorted(register.members, key=lambda op: op.invoked_us)
    ended = [op for op in register.members if op.is_ok and op.completed_us is not None]
    by_end = sorted(ended, key=lambda op: op.completed_us or 0)
    newest: Operation | None = None
    newest_place = -1
    position = 0
    for op in by_start:
        while position < len(by_end) and (by_end[position].completed_us or 0) < op.invoked_us:
            place = register.place(by_end[position])
            assert place is not None, "every member has a place"
            if place > newest_place:
                newest, newest_place = by_end[position], place
            position += 1
        place = register.place(op)
        assert place is not None, "every member has a place"
        # What a change wrote can't have been seen before the change was asked for.
        if newest is not None and (
            newest_place > place or (op.is_change and newest_place == place)
        ):
            return newest, op
    return None


def _replaces_follow(register: Register) -> bool:
    """Whether each conditional write comes right after the version that it named."""
    places = sorted((register.place(op) or 0, op.index) for op in register.members if op.is_change)
    before = {index: place for (place, _), (_, index) in pairwise(places)}
    return all(
        before.get(op.index, 0) == version_number(op.expected)
        for op in register.members
        if op.kind is Kind.REPLACE
    )


def _shrunk(register: Register, pair: tuple[Operation, Operation] | None) -> _Violation:
    few = counterexample.shrink(register, pair or ())
    sentence, culprit = counterexample.describe(few, register)
    return _Violation(sentence=sentence, operations=few, culprit=culprit)


def seen_last(operations: Iterable[Operation]) -> dict[str, Operation]:
    """The latest good look at each key."""
    found: dict[str, Operation] = {}
    for op in operations:
        if op.kind is Kind.READ and op.is_ok:
            found[op.key] = op
    return found
