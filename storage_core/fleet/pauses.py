"""Leases of pauses: which parts are stopped by SIGSTOP, and until when at the latest.

The supervisor writes the lease before the signal and ends the pause by a timer. If it dies in
between, its book is still here: a new supervisor continues everything at its start, and whoever
watches may call `resume_expired`, which believes the registry only where number, start time and
boot match.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from storage_core.fleet.home import replace_file
from storage_core.fleet.linux import open_pidfd, send_signal
from storage_core.fleet.registry import read_registry

_BOOK: Final = "pauses.json"


def write(run: Path, until_ms: Mapping[str, int]) -> None:
    """Replace the book: part -> Unix time in ms at which its pause ends."""
    replace_file(run / _BOOK, json.dumps(dict(until_ms)))


def read(run: Path) -> dict[str, int]:
    """The book; empty if there is none or it can't be read."""
    try:
        book = json.loads((run / _BOOK).read_text(encoding="utf-8"))
        return {str(name): int(until_ms) for name, until_ms in book.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def resume_expired(run: Path, *, now_ms: int) -> tuple[str, ...]:
    """Continue the parts whose pause should be over by now; returns their names."""
    registry = read_registry(run / "registry.json")
    resumed = []
    for name, until_ms in read(run).items():
        record = registry.get(name)
        if until_ms > now_ms or record is None or record.identity is None:
            continue
        handle = open_pidfd(record.identity)
        if handle is None:
            continue
        try:
            if send_signal(handle, signal.SIGCONT):
                resumed.append(name)
        finally:
            os.close(handle)
    return tuple(resumed)
