"""Who is alive, told by files: each long-lived process of ours writes one every second.

A file under `run/` is the one place that can be read while the database is locked, the broker is
gone and the process itself is dead, which is when somebody asks. It is replaced whole, so a reader
never sees half of one. It speaks for this host only.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from runbooks import limits

logger = logging.getLogger(__name__)

WATCHER = "watcher"
WORKER = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """`age_s` is None where there never was a beat; `note` says what the process last did."""

    name: str
    is_alive: bool
    age_s: float | None
    pid: int | None
    note: str


def beat(run_folder: Path, name: str, *, note: str, now_ms: int) -> bool:
    """Write one beat. False if the disk did not take it: a watcher must survive that too."""
    path = run_folder / f"{name}.beat"
    draft = path.with_suffix(".beat.new")
    try:
        run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.write_text(json.dumps({"pid": os.getpid(), "at_ms": now_ms, "note": note}))
        draft.replace(path)
    except OSError as error:
        logger.warning("a heartbeat could not be written: %s", error)
        return False
    return True


def read(run_folder: Path, name: str, *, now_ms: int) -> Heartbeat:
    """The last beat of that name, judged at `now_ms`."""
    try:
        data = json.loads((run_folder / f"{name}.beat").read_text())
        at_ms, pid, note = int(data["at_ms"]), int(data["pid"]), str(data["note"])
    except (OSError, ValueError, KeyError, TypeError):
        return Heartbeat(name=name, is_alive=False, age_s=None, pid=None, note="")
    age_s = max(0.0, (now_ms - at_ms) / 1000)
    is_alive = age_s <= limits.HEARTBEAT_STALE_S
    return Heartbeat(name=name, is_alive=is_alive, age_s=age_s, pid=pid, note=note)
