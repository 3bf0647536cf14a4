"""Detected, named, fixed: three times on one clock, started by the fault.

A time that is not over yet counts on; one that can never come (the incident ended without it) is
said to be so. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """One of the three. `seconds` is None where the fault has not begun, or it never came."""

    word: str
    seconds: float | None
    is_over: bool


def read(
    *,
    now_ms: int,
    fault_ms: int | None,
    detected_ms: int | None,
    named_ms: int | None,
    fixed_ms: int | None,
    is_over: bool,
) -> tuple[Hand, ...]:
    """The stopwatch at `now_ms`. `is_over`: nothing more will come. All are Unix times in ms."""
    moments = (("Detected", detected_ms), ("Named", named_ms), ("Fixed", fixed_ms))
    return tuple(
        Hand(
            word=word,
            seconds=_seconds(fault_ms, moment if moment is not None or is_over else now_ms),
            is_over=moment is not None or is_over,
        )
        for word, moment in moments
    )


def _seconds(start_ms: int | None, end_ms: int | None) -> float | None:
    if start_ms is None or end_ms is None:
        return None
    return max(0.0, (end_ms - start_ms) / 1000)
