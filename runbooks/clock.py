"""Wall time of the run engine: milliseconds for the machine, aware datetimes for the tables."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_ms() -> int:
    """Unix time. A lease outlives a process, so no monotonic clock can measure it."""
    return time.time_ns() // 1_000_000


def from_ms(time_ms: int) -> datetime:
    """The table's form of a time, exact to the millisecond."""
    return _EPOCH + timedelta(milliseconds=time_ms)


def to_ms(moment: datetime) -> int:
    """The machine's form of a time."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def as_text(time_ms: int) -> str:
    """For sentences that people read: 2024-05-01 12:00:03 UTC."""
    return from_ms(time_ms).strftime("%Y-%m-%d %H:%M:%S UTC")
