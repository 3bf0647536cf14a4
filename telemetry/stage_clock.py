"""The clock that a request carries: one stamp a stage, and nothing else on the hot path.

Stages are exclusive. A stamp closes the interval since the stamp before it, so the stages of a
request always add up to its wall time; a stamp that lies before the last one adds nothing. Reading
the clock in any other way (stages, sums) is for after the request.
Read next: tracing.py, which ends a request.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic_ns
from typing import Final, NamedTuple

MARKS_MAX: Final = 512
"""Stamps that one clock keeps apart; StageClock.fold() adds older ones up by stage."""

AttributeValue = str | int | float | bool
Mark = tuple[int, int]
"""A stage and the monotonic time at which it ended, in nanoseconds."""


class StageTime(NamedTuple):
    """One stage as it happened, on the monotonic clock."""

    stage: int
    start_ns: int
    end_ns: int


class StageClock:
    """The times of one request. Exclusive stages; their sum is `total_ns`."""

    __slots__ = (
        "account",
        "attributes",
        "flags",
        "folded",
        "folded_until_ns",
        "lane",
        "marks",
        "operation",
        "parent_span_id",
        "start_ns",
        "trace_id",
    )

    def __init__(self, operation: int = 0, start_ns: int | None = None) -> None:
        self.operation = operation
        self.lane = 0  # of names: users, canary, throttled
        self.account = ""
        self.start_ns = monotonic_ns() if start_ns is None else start_ns
        self.marks: list[Mark] = []
        self.folded: dict[int, int] | None = None
        self.folded_until_ns = 0
        self.attributes: dict[str, AttributeValue] | None = None
        self.trace_id = 0
        self.parent_span_id = 0
        self.flags = 0

    def stamp(self, stage: int, _now: Callable[[], int] = monotonic_ns) -> None:
        """Everything since the stamp before this one was `stage`."""
        self.marks.append((stage, _now()))

    def stamp_all(self, *marks: Mark) -> None:
        """Everything up to each mark's time was its stage; one before the last adds nothing."""
        self.marks += marks

    def set(self, name: str, value: AttributeValue) -> None:
        """An attribute for the span, should this request be kept."""
        if self.attributes is None:
            self.attributes = {}
        self.attributes[name] = value

    def follow(self, traceparent: str) -> None:
        """Take part in the caller's trace. A malformed header is ignored, as W3C asks."""
        parsed = parse_traceparent(traceparent)
        if parsed is not None:
            self.trace_id, self.parent_span_id, self.flags = parsed

    def identify(self) -> int:
        """The trace id, made now if the request has none: for a log line or an answer."""
        if self.trace_id == 0:
            self.trace_id = new_trace_id()
        return self.trace_id

    def fold(self) -> None:
        """Add up old stamps by stage. Long uploads call this at each chunk; cheap when short."""
        if len(self.marks) < MARKS_MAX:
            return
        self.folded = self.spent_ns()
        self.folded_until_ns = self.end_ns
        self.marks.clear()

    @property
    def end_ns(self) -> int:
        """When the last stage ended."""
        return max(
            self.start_ns, self.folded_until_ns, max((at for _, at in self.marks), default=0)
        )

    @property
    def total_ns(self) -> int:
        """Wall time from start to last stamp."""
        return self.end_ns - self.start_ns

    @property
    def stages(self) -> list[StageTime]:
        """The stages one after another, without those that were folded."""
        last_ns = self.folded_until_ns or self.start_ns
        found = []
        for stage, at_ns in self.marks:
            end_ns = max(at_ns, last_ns)
            found.append(StageTime(stage, last_ns, end_ns))
            last_ns = end_ns
        return found

    def spent_ns(self) -> dict[int, int]:
        """Nanoseconds in each stage; the sum is `total_ns`."""
        spent = dict(self.folded) if self.folded else {}
        last_ns = self.folded_until_ns or self.start_ns
        for stage, at_ns in self.marks:
            if at_ns > last_ns:
                spent[stage] = spent.get(stage, 0) + at_ns - last_ns
                last_ns = at_ns
            else:
                spent.setdefault(stage, 0)
        return spent


def parse_traceparent(text: str) -> tuple[int, int, int] | None:
    """(trace id, parent span id, flags) of a W3C traceparent, or None if it is malformed."""
    parts = text.strip().split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    if parts[0] == "ff" or (parts[0] == "00" and len(parts) != 4):
        return None
    if not set("".join(parts[:4])) <= set("0123456789abcdef"):
        return None
    trace_id, span_id, flags = (int(part, 16) for part in parts[1:4])
    return (trace_id, span_id, flags) if trace_id and span_id else None


def new_trace_id() -> int:
    """A random id, never zero."""
    return random.getrandbits(128) or 1


def new_span_id() -> int:
    """A random id, never zero."""
    return random.getrandbits(64) or 1
