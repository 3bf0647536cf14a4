"""One drill on disk: its plan, its journal line by line, its history, its result.

The process that conducts a drill may be killed at any moment and the database may be stalled, so
everything it learns is appended to files at once, and everybody else reads them: the worker that
waits, the page that shows it live, the watcher that cleans up. Whoever wants the drill to end puts
a file there, too.

`plan.json` what to do · `child.json` which process does it · `events.jsonl` what happened ·
`history.jsonl` every operation · `stop.json` who wants it to end · `result.json` what came of it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from runbooks.drills import limits

JsonMap = Mapping[str, object]


class DrillFolder:
    """Paths and whole-file reads and writes of one drill."""

    def __init__(self, home: Path, run_id: int) -> None:
        self.path = home / "drills" / str(run_id)
        self.history = self.path / "history.jsonl"
        self.events = self.path / "events.jsonl"
        self.log = self.path / "drill.log"

    def make(self, plan: JsonMap) -> None:
        """Create the folder with its plan; the one of this plan's key keeps what it has.

        A database that was replaced counts anew, and its drills must not find older results.
        """
        earlier = self.plan()
        if earlier is not None and earlier.get("key") == plan["key"]:
            return
        if earlier is not None:
            shutil.rmtree(self.path)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write("plan.json", plan)

    def plan(self) -> JsonMap | None:
        """What the drill is to do, or None before it was made."""
        return self._read("plan.json")

    def note_child(self, identity: JsonMap) -> None:
        """Say which process conducts: number, start time, boot."""
        self._write("child.json", identity)

    def child(self) -> JsonMap | None:
        """The process that conducts or conducted; None before it started."""
        return self._read("child.json")

    def ask_stop(self, *, actor: str, reason: str) -> None:
        """Ask for the end. The first who asked is remembered."""
        if not (self.path / "stop.json").exists():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write("stop.json", {"actor": actor, "reason": reason})

    def stop_asked(self) -> JsonMap | None:
        """Who asked for the end, and why."""
        return self._read("stop.json")

    def conclude(self, result: JsonMap) -> None:
        """Write the result, whole: from now on the drill is over."""
        self._write("result.json", result)

    def result(self) -> JsonMap | None:
        """What came of it; None while it is under way."""
        return self._read("result.json")

    def has_begun(self) -> bool:
        """Whether a process ever conducted it."""
        return self.events.exists()

    def read_events(self) -> list[JsonMap]:
        """The journal so far; a line that is being written now is left out."""
        return _lines(self.events)

    def _write(self, name: str, value: JsonMap) -> None:
        draft = self.path / f".{name}.new"
        draft.write_text(json.dumps(value, sort_keys=True), encoding="utf-8")
        draft.replace(self.path / name)

    def _read(self, name: str) -> JsonMap | None:
        try:
            value = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None


class EventWriter:
    """Appends to the journal. `t_ms` counts from the drill's start on its one monotonic clock."""

    def __init__(self, path: Path, *, started_s: float) -> None:
        self._stream: TextIO = open(path, "a", encoding="utf-8", buffering=1)
        self._started_s = started_s

    def note(self, event: str, **fields: object) -> None:
        """One line, on disk as far as a killed process is concerned when this returns."""
        line = {
            "at_ms": time.time_ns() // 1_000_000,
            "t_ms": round((time.monotonic() - self._started_s) * 1000, 1),
            "event": event,
            **fields,
        }
        self._stream.write(json.dumps(line) + "\n")

    def close(self) -> None:
        self._stream.close()


def prune(home: Path, *, keep: int) -> int:
    """Delete the oldest folders beyond the bounds in count and size; returns how many.

    `keep` is a drill that stays whatever the bounds say.
    """
    try:
        found = sorted(
            (folder for folder in (home / "drills").iterdir() if folder.name.isdigit()),
            key=lambda folder: int(folder.name),
            reverse=True,
        )
    except FileNotFoundError:
        return 0
    size_bytes = deleted = 0
    for count, folder in enumerate(found, start=1):
        size_bytes += sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        is_over = count > limits.KEPT_DRILLS_MAX or size_bytes > limits.KEPT_BYTES_MAX
        if is_over and int(folder.name) != keep:
            shutil.rmtree(folder, ignore_errors=True)
            deleted += 1
    return deleted


def _lines(path: Path) -> list[JsonMap]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return []
    whole = text[: text.rfind("\n") + 1]
    found: list[JsonMap] = []
    for line in whole.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue  # A disk that filled up tore it.
        if isinstance(value, dict):
            found.append(value)
    return found
