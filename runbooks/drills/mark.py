"""The mark: a file that says "a drill is under way", readable with everything else dead.

Whoever pages people must tell a drill's own fire from a real one, and must be able to while the
database is stalled, which may be what the drill does. So the process that conducts the drill writes
one small file under `run/`, whole, renews it each second and removes it at the end. A mark whose
time is over says nothing: its writer died.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_NAME = "drill.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillMark:
    """Unix times in ms. `run_id` is the drill's number, too."""

    run_id: int
    scenario: str
    since_ms: int
    until_ms: int


def write(run_folder: Path, mark: DrillMark) -> None:
    """Put the mark in place whole. Raises OSError."""
    draft = run_folder / f".{_NAME}.{os.getpid()}"
    draft.write_text(json.dumps(asdict(mark)), encoding="utf-8")
    draft.replace(run_folder / _NAME)


def clear(run_folder: Path, run_id: int) -> None:
    """Remove the mark of this drill; another drill's mark stays."""
    found = _read(run_folder)
    if found is not None and found.run_id == run_id:
        with contextlib.suppress(FileNotFoundError):
            (run_folder / _NAME).unlink()


def active(run_folder: Path, *, now_ms: int | None = None) -> DrillMark | None:
    """The drill under way at `now_ms` (Unix time, now by default), or None."""
    found = _read(run_folder)
    at_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return found if found is not None and at_ms < found.until_ms else None


def _read(run_folder: Path) -> DrillMark | None:
    try:
        data = json.loads((run_folder / _NAME).read_text(encoding="utf-8"))
        return DrillMark(
            run_id=int(data["run_id"]),
            scenario=str(data["scenario"]),
            since_ms=int(data["since_ms"]),
            until_ms=int(data["until_ms"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
