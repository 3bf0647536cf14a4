"""Recovery in numbers, from the history alone: how long, and how much was lost. Pure.

An outage through one door begins with the first operation after the fault that failed or was slow,
and ends when the first good answer arrives after which, for a while, all is well: one lucky answer
in the middle of an outage ends nothing. A write that waited is counted with its waiting, because
that is what its sender saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runbooks.drills.history import ABSENT, Kind, Operation

STABLE_US = 1_000_000
"""All must be well for this long before an outage counts as over."""

STABLE_COUNT = 3
SLOW_FACTOR = 4.0
SLOW_US_MIN = 25_000
LATE_FACTOR = 10.0
LATE_US_MIN = 250_000
UNSTIRRED_US = 3_000_000
"""An operation that turns bad later than this after the fault is not the fault's first effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """What was normal before the fault. Slower than `slow_us` begins an outage; slower than
    `late_us` shows that one goes on. They differ so that a busy machine doesn't stretch an outage.
    """

    slow_us: int
    late_us: int
    p50_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """`ended_us` is None if it did not end within the history. Times from the drill's start."""

    began_us: int
    ended_us: int | None

    @property
    def length_ms(self) -> float | None:
        return None if self.ended_us is None else (self.ended_us - self.began_us) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """An acknowledged write that a later look did not find."""

    operation: Operation
    found: int | None


def calm_of(operations: Iterable[Operation], *, before_us: int) -> Calm:
    """From the good operations that ended before the fault."""
    took = sorted(
        op.latency_us
        for op in operations
        if op.was_served and op.latency_us is not None and (op.completed_us or 0) < before_us
    )
    p50 = took[len(took) // 2] if took else 0
    p99 = took[len(took) * 99 // 100] if took else 0
    return Calm(
        slow_us=int(max(SLOW_US_MIN, SLOW_FACTOR * p50, 1.5 * p99)),
        late_us=int(max(LATE_US_MIN, LATE_FACTOR * p50, 2 * p99)),
        p50_us=p50,
    )


def outage(operations: Sequence[Operation], *, fault_us: int, calm: Calm) -> Outage | None:
    """The fault's outage as seen by these operations, which share a door; None if there was none.

    A good answer ends it if, for STABLE_US after, nothing ended badly or late and at least
    STABLE_COUNT operations ended well.
    """
    after = [op for op in operations if op.completed_us is None or op.completed_us >= fault_us]
    hits = [
        op for op in after if _is_bad(op, calm.slow_us) and op.invoked_us < fault_us + UNSTIRRED_US
    ]
    if not hits:
        return None
    began_us = max(fault_us, min(op.invoked_us for op in hits))
    ends = sorted((op for op in after if op.completed_us is not None), key=_ended)
    bad_ends = [_ended(op) for op in ends if _is_bad(op, calm.late_us)]
    for position, op in enumerate(ends):
        ended_us = _ended(op)
        if not op.was_served or ended_us <= began_us:
            continue
        if any(ended_us < bad_us <= ended_us + STABLE_US for bad_us in bad_ends):
            continue
        following = ends[position + 1 :]
        within = sum(1 for each in following if _ended(each) <= ended_us + STABLE_US)
        if within >= STABLE_COUNT:
            return Outage(began_us=began_us, ended_us=ended_us)
    return Outage(began_us=began_us, ended_us=None)


def longest_wait_ms(operations: Iterable[Operation], *, fault_us: int) -> float:
    """The slowest of those that were under way when the fault came, or asked soon after."""
    waits = [
        op.latency_us or 0
        for op in operations
        if op.invoked_us < fault_us + UNSTIRRED_US and (op.completed_us or fault_us) >= fault_us
    ]
    return round(max(waits, default=0) / 1000, 1)


def missing_writes(
    acknowledged: Iterable[Operation], seen: Mapping[str, Operation]
) -> list[Missing]:
    """Acknowledged changes that `seen` (key -> the last look at it) can't be reconciled with.

    A write is there if the look found its version or a newer one. A key that this drill deleted
    from is left to the checker, because absence may be right there.
    """
    deleted = {op.key for op in acknowledged if op.kind is Kind.DELETE}
    lost = []
    for op in acknowledged:
        if op.kind is Kind.DELETE or op.key in deleted:
            continue
        look = seen.get(op.key)
        if look is None or look.value is None:
            lost.append(Missing(operation=op, found=None))
        elif look.value == ABSENT or not _is_at_least(look, op):
            lost.append(Missing(operation=op, found=look.value))
    return lost


def version_number(version: str) -> int | None:
    """An ETag of this store as the number that it is (a log index); None for a stranger's."""
    try:
        return int(version.strip('"'), 16)
    except ValueError:
        return None


def _is_at_least(look: Operation, write: Operation) -> bool:
    if look.version == write.version:
        return look.value == write.value
    seen, written = version_number(look.version), version_number(write.version)
    return seen is not None and written is not None and seen > written


def _is_bad(op: Operation, limit_us: int) -> bool:
    took_us = op.latency_us
    return not op.was_served or took_us is None or took_us > limit_us


def _ended(op: Operation) -> int:
    assert op.completed_us is not None, "only operations that came back are sorted by their end"
    return op.completed_us
