"""How long to wait before a part is started again.

A node that dies once comes back at once: its peers wait for it. What dies again and again would
only burn the processor that the others need, so the wait doubles up to half a minute, and people
are told that it is a loop. A minute of life clears the record.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Final

from storage_core.config import EXIT_DISK_FAILED, EXIT_FOUND_WRONG, EXIT_REFUSED

FIRST_DELAY_S: Final = 0.5
DELAY_S_MAX: Final = 30.0
DISK_DELAY_S_MIN: Final = 5.0
"""A disk that failed a flush is rarely well again in less."""

FORGIVEN_AFTER_S: Final = 60.0
LOOP_ENDS_MIN: Final = 4

REASONS: Final[Mapping[int, str]] = {
    EXIT_DISK_FAILED: "its disk failed",
    EXIT_FOUND_WRONG: "it found itself in the wrong",
    EXIT_REFUSED: "it can't use its home or its settings",
}


def restart_delay_s(*, ends: int, exit_code: int | None, at_once: bool) -> float:
    """`ends` counts this one and those before it without a minute of life between."""
    assert ends >= 1, ends
    doublings = ends - 2 if at_once else ends - 1
    delay_s = min(DELAY_S_MAX, FIRST_DELAY_S * 2.0**doublings) if doublings >= 0 else 0.0
    return max(delay_s, DISK_DELAY_S_MIN) if exit_code == EXIT_DISK_FAILED else delay_s


def describe_end(exit_code: int | None) -> str:
    """An exit code in words."""
    if exit_code is None:
        return "ended"
    if exit_code in REASONS:
        return f"ended because {REASONS[exit_code]} (exit {exit_code})"
    if exit_code < 0:
        return f"was ended by signal {-exit_code} ({signal.strsignal(-exit_code)})"
    return f"ended with exit code {exit_code}"


def describe_restart(*, ends: int, delay_s: float) -> str:
    """What happens next, in words."""
    when = "at once" if delay_s == 0 else f"in {delay_s:g} s"
    if ends >= LOOP_ENDS_MIN:
        return f"crash loop ({ends} ends without a minute of life); next start {when}"
    return f"starting it again {when}"
