"""What a node knows of orders, kept over its restarts: whether it is drained, and who was here.

An order that comes late may meet a node that restarted meanwhile, and must be refused all the
same; and who drained a node did not mean it to lead again after a crash. So both stand in one
small file beside the log. But the file never stands in the way: the disk may be what the order is
about, so the effect comes first, and the writing is waited for a moment only.

A file that can't be read is said aloud and forgotten: it holds nobody's data, and a node that
refused to start for it would help nobody.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from storage_core.operations import Operations, Row

FILE_NAME = "orders.json"
VERSION = 1
KEEP_S_MAX = 0.5
"""An order waits this long for its record; a sound disk needs a hundredth of it."""
log = logging.getLogger(__name__)


class Remembered(NamedTuple):
    """The file's content."""

    drained: bool
    rows: list[Row]


def read(path: Path) -> Remembered:
    """What stands in the file; nothing if there is none, or none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["version"] != VERSION:
            raise ValueError(f"version {found['version']!r}")
        rows = [Row(int(a), str(b), int(c), bool(d)) for a, b, c, d in found["operations"]]
        return Remembered(bool(found["drained"]), rows)
    except FileNotFoundError:
        return Remembered(False, [])
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.error("orders can't be read, they are forgotten", extra={"reason": repr(error)})
        return Remembered(False, [])


def write(path: Path, text: str) -> None:
    """Replace the file whole and durably."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Memory:
    """Operations and drain state of one node, and their file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        found = read(self._path)
        self.drained = found.drained
        self.operations = Operations(found.rows)
        # One thread: a later state never loses to an earlier one.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="orders")

    async def keep(self) -> bool:
        """Write what is known now. False: not within the time; it is written when the disk can."""
        state: dict[str, Any] = {
            "version": VERSION,
            "drained": self.drained,
            "operations": self.operations.rows(),
        }
        writing = self._thread.submit(write, self._path, json.dumps(state))
        done, _ = await asyncio.wait([asyncio.wrap_future(writing)], timeout=KEEP_S_MAX)
        if not done:
            return False
        error = writing.exception()
        if error is not None:
            log.error("orders can't be kept", extra={"reason": repr(error)})
        return error is None

    def close(self) -> None:
        """Let go of the thread; what it has begun is finished or lost."""
        self._thread.shutdown(wait=False, cancel_futures=True)
