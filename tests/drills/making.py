"""Short ways to say operations in tests."""

from __future__ import annotations

from runbooks.drills.history import Kind, Operation, Outcome

VERSION_BASE = 0x8D << 56


def version(place: int) -> str:
    """The ETag of the entry at this place of the log."""
    return f'"0x{VERSION_BASE + place:X}"'


def make(
    index: int,
    kind: Kind,
    value: int | None,
    start: int,
    end: int | None,
    *,
    at: int = 0,
    outcome: Outcome = Outcome.OK,
    key: str = "k",
    path: str = "node-0",
    expected: int = 0,
    client: int | None = None,
) -> Operation:
    """`at` is the version's place; times in microseconds."""
    return Operation(
        index=index,
        client=index if client is None else client,
        path=path,
        kind=kind,
        key=key,
        value=value,
        size_bytes=10,
        invoked_us=start,
        completed_us=end,
        outcome=outcome,
        version=version(at) if at else "",
        expected=version(expected) if expected else "",
    )


def write(index: int, value: int, start: int, end: int, *, at: int, key: str = "k") -> Operation:
    return make(index, Kind.WRITE, value, start, end, at=at, key=key)


def read(index: int, value: int, start: int, end: int, *, at: int = 0, key: str = "k") -> Operation:
    return make(index, Kind.READ, value, start, end, at=at, key=key)


def unknown(index: int, value: int, start: int) -> Operation:
    return make(index, Kind.WRITE, value, start, None, outcome=Outcome.INFO)


def refused(index: int, value: int, start: int, end: int) -> Operation:
    return make(index, Kind.WRITE, value, start, end, outcome=Outcome.FAIL)
