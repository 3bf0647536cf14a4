"""The obvious checker: try every order. Good for a handful of operations on one key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbooks.drills.history import ABSENT, Kind, Operation, Outcome


def explained(operations: Sequence[Operation], whole: Sequence[Operation] = ()) -> bool:
    """Whether some order, with or without the operations of unknown outcome, explains all.

    What a version means is looked up in `whole`, of which `operations` may be a part.
    """
    told = [op for op in operations if op.is_ok]
    maybe = [op for op in operations if op.outcome is Outcome.INFO and op.is_change]
    values = {op.version: op.value for op in whole or operations if op.version}
    return any(
        _some_order(frozenset(op.index for op in chosen), chosen, ABSENT, values)
        for extra in _subsets(maybe)
        for chosen in [[*told, *extra]]
    )


def _subsets(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    for bits in range(1 << len(operations)):
        yield [op for place, op in enumerate(operations) if bits >> place & 1]


def _some_order(
    left: frozenset[int],
    operations: Sequence[Operation],
    state: int | None,
    values: dict[str, int | None],
) -> bool:
    if not left:
        return True
    waiting = [op for op in operations if op.index in left]
    for op in waiting:
        if any(_ends_before(other, op) for other in waiting):
            continue
        if op.kind is Kind.READ:
            after = state if op.value == state else None
            fits = op.value == state
        else:
            fits = op.kind is not Kind.REPLACE or values.get(op.expected, state) == state
            after = ABSENT if op.kind is Kind.DELETE else op.value
        if fits and _some_order(left - {op.index}, operations, after, values):
            return True
    return False


def _ends_before(other: Operation, op: Operation) -> bool:
    if other is op or other.outcome is Outcome.INFO or other.completed_us is None:
        return False
    return other.completed_us < op.invoked_us
