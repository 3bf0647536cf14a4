"""Counts the system calls of a node while something happens, by strace's log."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

# 1234 1700000000.123456 fdatasync(12) = 0; the second half of an interrupted line isn't a call.
_CALL = re.compile(r"^(?:\d+ +)?(\d+\.\d+) ([a-z_0-9]+)\(")
FLUSHES = frozenset({"fsync", "fdatasync", "sync_file_range", "sync", "syncfs"})


class CallLog:
    """strace's wrapper for one node, and what it wrote. `only` names calls, all if empty."""

    def __init__(self, path: Path, only: frozenset[str] = frozenset()) -> None:
        self._path = path
        # -D: the tracer is a grandchild, so that the process we start is the node itself.
        self.wrapper: tuple[str, ...] = (
            "strace",
            "-D",
            "-f",
            "-qq",
            "-ttt",
            "-s",
            "0",
            "-o",
            str(path),
        )
        if only:
            self.wrapper += ("--seccomp-bpf", "-e", "trace=" + ",".join(sorted(only)))

    def between(self, began_s: float, ended_s: float) -> Counter[str]:
        """Calls by name in a stretch of wall time."""
        found: Counter[str] = Counter()
        with self._path.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                call = _CALL.match(line)
                if call is not None and began_s <= float(call[1]) <= ended_s:
                    found[call[2]] += 1
        return found


def wall_s() -> float:
    """The clock that strace stamps with."""
    return time.time()
