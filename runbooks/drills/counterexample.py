"""The register behind one key, and the few operations on it that can't be explained together.

A violated history has thousands of operations; a person believes two to six. Leaving an operation
out must never make a sound history look wrong, so a write is left out only together with everything
that saw it: then what remains of an explainable history is explainable still, and what remains
unexplained is a true counterexample. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.drills.history import ABSENT, Kind, Operation, Outcome
from runbooks.drills.measure import version_number
from runbooks.drills.search import Budget, OutOfSteps, Step, is_linearizable

INDEX_MASK = (1 << 56) - 1
"""The part of a version that is the log index; the rest is the same in all."""

SHRINK_STEPS = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One key. `asked` finds a write by its value, whatever became of it. `members` are the
    operations that an order must explain: what ended well, and what may have happened and was seen.
    """

    asked: dict[int, Operation]
    members: tuple[Operation, ...]
    values: dict[str, int]
    versions: dict[int, str]

    @property
    def looks(self) -> tuple[Operation, ...]:
        """Good reads."""
        return tuple(op for op in self.members if op.kind is Kind.READ)

    @property
    def versioned(self) -> tuple[Operation, ...]:
        """Operations that came back with a version."""
        return tuple(op for op in self.members if op.version)

    def place(self, op: Operation) -> int | None:
        """Where its version stands in the order of versions; None where it has none."""
        if op.kind is Kind.READ and op.value == ABSENT:
            return 0
        return version_number(op.version or self.versions.get(op.value or ABSENT, ""))

    def step(self, op: Operation) -> Step:
        """The operation as the search sees it."""
        end = op.completed_us if op.is_ok else None
        if op.kind is Kind.READ:
            return Step(op.invoked_us, end, op.value, None)
        if op.kind is Kind.DELETE:
            return Step(op.invoked_us, end, None, ABSENT)
        reads = self.values.get(op.expected) if op.kind is Kind.REPLACE else None
        return Step(op.invoked_us, end, reads, op.value)

    def is_explained(self, budget: Budget) -> bool:
        """Whether one order explains all members. Raises OutOfSteps."""
        return _is_explained(self, self.members, budget)


def register_of(operations: Sequence[Operation]) -> Register:
    """Sort out what of one key's operations an order must explain."""
    asked = {
        op.value: op
        for op in operations
        if op.kind in (Kind.WRITE, Kind.REPLACE) and op.value is not None
    }
    good = [op for op in operations if op.is_ok]
    values = {op.version: op.value for op in good if op.version and op.value is not None}
    seen = {op.value for op in good if op.kind is Kind.READ and op.value is not None}
    seen |= {values[op.expected] for op in good if op.expected in values}
    absence_seen = ABSENT in seen
    maybe = [
        op
        for op in operations
        if op.outcome is Outcome.INFO
        and op.is_change
        # Unseen, it may as well never have happened.
        and (absence_seen if op.kind is Kind.DELETE else op.value in seen)
    ]
    versions = {value: version for version, value in values.items()}
    members = tuple(sorted([*good, *maybe], key=lambda op: op.index))
    return Register(asked=asked, members=members, values=values, versions=versions)


def shrink(register: Register, hint: Sequence[Operation]) -> tuple[Operation, ...]:
    """The fewest operations found that no order explains, in order of asking."""
    current = list(register.members)
    if hint:
        small = _with_needs(register, hint)
        if _is_unexplained(register, small):
            current = small
    size = max(1, len(current) // 2)
    while size:
        position = 0
        while position < len(current):
            dropped = current[position : position + size]
            rest = _without(register, current, dropped)
            if rest and _is_unexplained(register, rest):
                current = rest
            else:
                position += size
        size //= 2
    return tuple(sorted(current, key=lambda op: (op.invoked_us, op.index)))


def describe(few: Sequence[Operation], register: Register) -> tuple[str, int | None]:
    """The counterexample as a sentence, and the index of the operation to point at."""
    for op in reversed(few):
        place = register.place(op)
        if op.kind is Kind.DELETE or place is None or op.completed_us is None:
            continue
        for other in few:
            newer = register.place(other)
            ended_before = other.completed_us is not None and other.completed_us < op.invoked_us
            if ended_before and newer is not None and newer > place:
                return f"{_deed(op, register)} after {_known(other, register)}", op.index
    for op in reversed(few):
        others = [other for other in few if other is not op]
        if op.kind is Kind.READ and not _is_unexplained(register, others):
            return f"{_deed(op, register)}, which no order of the changes explains", op.index
    return "No order of these operations explains what they returned", None


def label(version: str) -> str:
    """A version as people say it: the place in the log, or what a foreign store calls it."""
    number = version_number(version)
    return version if number is None else str(number & INDEX_MASK)


def _deed(op: Operation, register: Register) -> str:
    name = label(op.version or register.versions.get(op.value or ABSENT, ""))
    if op.kind is Kind.READ:
        what = "found nothing" if op.value == ABSENT else f"read version {name}"
        return f"Client {op.client} {what}"
    return f"Client {op.client} was told that it wrote version {name}"


def _known(op: Operation, register: Register) -> str:
    name = label(op.version or register.versions.get(op.value or ABSENT, ""))
    if op.kind is Kind.READ:
        return f"client {op.client} had read version {name}"
    return f"version {name} was acknowledged"


def _is_explained(register: Register, operations: Sequence[Operation], budget: Budget) -> bool:
    return is_linearizable([register.step(op) for op in operations], initial=ABSENT, budget=budget)


def _is_unexplained(register: Register, operations: Sequence[Operation]) -> bool:
    try:
        return not _is_explained(register, operations, Budget(SHRINK_STEPS))
    except OutOfSteps:
        return False


def _needs(register: Register, op: Operation) -> int | None:
    """The value that somebody must have left for this operation to be possible."""
    if op.kind is Kind.READ:
        return op.value
    return register.values.get(op.expected) if op.kind is Kind.REPLACE else None


def _leaves(op: Operation) -> int | None:
    return ABSENT if op.kind is Kind.DELETE else op.value if op.is_change else None


def _with_needs(register: Register, operations: Sequence[Operation]) -> list[Operation]:
    """These operations and all changes that they rest on."""
    found = {op.index: op for op in operations}
    waiting = list(operations)
    while waiting:
        needed = _needs(register, waiting.pop())
        for op in register.members:
            if needed is not None and _leaves(op) == needed and op.index not in found:
                found[op.index] = op
                waiting.append(op)
    return list(found.values())


def _without(
    register: Register, current: Sequence[Operation], dropped: Sequence[Operation]
) -> list[Operation]:
    """`current` less these, and less all that saw what they left."""
    gone = {op.index for op in dropped}
    while True:
        lost = {_leaves(op) for op in current if op.index in gone} - {None}
        more = {
            op.index
            for op in current
            if op.index not in gone
            and _needs(register, op) in lost
            and _needs(register, op) is not None
        }
        if not more:
            return [op for op in current if op.index not in gone]
        gone |= more
