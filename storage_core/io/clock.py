"""Time as a port: one clock that never goes back, and one that people read.

Problem: leases and timeouts break when wall time steps, and tests can't wait for either. Idea: the
core is handed `now_us`; only shells hold a clock. What always holds: the two are never mixed or
converted into each other; names end in `_us` (monotonic) and `_ms` (wall).
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The two readings a shell needs."""

    def monotonic_us(self) -> int:
        """Microseconds since an arbitrary moment; equal for all processes of one machine."""

    def wall_ms(self) -> int:
        """Unix time in milliseconds. May step in either direction."""


class RealClock:
    """This machine's clocks."""

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1000

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000
