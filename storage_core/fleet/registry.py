"""Which process is which part: the book that adoption, drills and profiles go by.

The supervisor writes it after every change, whole, so that its own death at any moment leaves a
book that is at most one line behind; what that line would have said is found again by the name
that each part carries in its environment. A process is believed only if number, start time and
boot all match.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from storage_core.fleet.home import replace_file
from storage_core.fleet.linux import Identity, all_pids, identify, read_environment, read_stat

PART_VARIABLE: Final = "HOLDFAST_PART"
HOME_VARIABLE: Final = "HOLDFAST_HOME"
ASKED_VARIABLE: Final = "HOLDFAST_PART_ASKED"
"""Set for a part whose last process ended because somebody wanted it to."""

RUNNING: Final = "running"
STOPPED: Final = "stopped"
RESTARTING: Final = "restarting"
DEAD: Final = "dead"


class Record(NamedTuple):
    """One part as the supervisor last saw it. `identity` is None while there is no process."""

    name: str
    identity: Identity | None
    state: str
    ready: bool
    since_ms: int
    restarts: int

    def to_json(self) -> dict[str, object]:
        """The form of the registry file and of the supervisor's socket."""
        pid, start_time_ticks, boot = self.identity or (None, None, None)
        return {
            "pid": pid,
            "start_time_ticks": start_time_ticks,
            "boot_id": boot,
            "state": self.state,
            "ready": self.ready,
            "since_ms": self.since_ms,
            "restarts": self.restarts,
        }


def write_registry(path: Path, records: Mapping[str, Record]) -> None:
    """Replace the book whole."""
    lines = {name: record.to_json() for name, record in records.items()}
    replace_file(path, json.dumps(lines, indent=1) + "\n")


def read_registry(path: Path) -> dict[str, Record]:
    """What an earlier supervisor wrote; empty if there is none or it can't be read."""
    try:
        lines: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return {name: _record(name, line) for name, line in lines.items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # The scan by environment finds the same processes, only slower.


def _record(name: str, line: Mapping[str, Any]) -> Record:
    identity = None
    if line["pid"] is not None:
        identity = Identity(int(line["pid"]), int(line["start_time_ticks"]), str(line["boot_id"]))
    return Record(
        name=name,
        identity=identity,
        state=str(line["state"]),
        ready=bool(line.get("ready", False)),
        since_ms=int(line["since_ms"]),
        restarts=int(line["restarts"]),
    )


class Survivors(NamedTuple):
    """What an earlier supervisor left running: parts by name, and processes that lost theirs."""

    parts: dict[str, Identity]
    strays: list[Identity]


def find_survivors(home: Path, registry: Mapping[str, Record]) -> Survivors:
    """Look for living parts of this home, in the book and in the process table."""
    parts = {
        record.name: record.identity
        for record in registry.values()
        if record.identity is not None and identify(record.identity.pid) == record.identity
    }
    strays = []
    for name, identity, is_first in _scan(home):
        if is_first and name not in parts:
            parts[name] = identity
        elif is_first and parts[name] != identity:
            strays.append(identity)
        elif not is_first and not _first_of_session_lives(identity.pid):
            strays.append(identity)
    return Survivors(parts, strays)


def _scan(home: Path) -> Iterator[tuple[str, Identity, bool]]:
    for pid in all_pids():
        environment = read_environment(pid)
        name = environment.get(PART_VARIABLE, "")
        if not name or environment.get(HOME_VARIABLE) != str(home) or pid == os.getpid():
            continue
        identity, stat = identify(pid), read_stat(pid)
        if identity is not None and stat is not None:
            yield name, identity, stat.session == pid


def _first_of_session_lives(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is None or identify(stat.session) is not None
