"""A real disk that notes what it was told, and can refuse."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from storage_core.io.disk import Buffer, RealDisk


class WatchedDisk(RealDisk):
    """Writes to a directory like any other disk. `calls` is every change, in order.

    With `fail_at` set, the change with that number raises `error_number` and is not made.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.calls: list[tuple[str, str]] = []
        self.fail_at: int | None = None
        self.error_number = 0

    def pwritev(self, name: str, offset: int, buffers: Sequence[Buffer]) -> None:
        self._note("pwritev", name)
        super().pwritev(name, offset, buffers)

    def fdatasync(self, name: str) -> None:
        self._note("fdatasync", name)
        super().fdatasync(name)

    def create_zeroed(self, name: str, size_bytes: int) -> None:
        self._note("create_zeroed", name)
        super().create_zeroed(name, size_bytes)

    def fsync_dir(self, name: str) -> None:
        self._note("fsync_dir", name)
        super().fsync_dir(name)

    def rename(self, old: str, new: str) -> None:
        self._note("rename", new)
        super().rename(old, new)

    def truncate(self, name: str, size_bytes: int) -> None:
        self._note("truncate", name)
        super().truncate(name, size_bytes)

    def unlink(self, name: str) -> None:
        self._note("unlink", name)
        super().unlink(name)

    def fail(self, *, at: int, error_number: int) -> None:
        """Let the change number `at`, counted from now, fail."""
        self.fail_at = len(self.calls) + at
        self.error_number = error_number

    def _note(self, verb: str, name: str) -> None:
        number = len(self.calls)
        self.calls.append((verb, name))
        if number == self.fail_at:
            raise OSError(self.error_number, os.strerror(self.error_number), name)
