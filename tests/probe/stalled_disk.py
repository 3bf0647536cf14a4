"""A small disk of its own that stands still when told: an ext4 image, frozen by the kernel.

While it is frozen whoever writes to it waits, in the kernel and deaf to signals, as on a disk
that has gone away; reads go on from memory. A frozen disk outlives the process that froze it, so it
is thawed by a second process whose input ends when ours does.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final

FREEZE: Final = 0xC0045877  # FIFREEZE of linux/fs.h
THAW: Final = 0xC0045878
SIZE_BYTES: Final = 6 << 30
"""Room for segments of three nodes; the image is sparse."""
UNMOUNT_S_MAX: Final = 10.0
MAKE_S_MAX: Final = 60.0

THAWING: Final = f"""
import fcntl, os, sys
disk = os.open(sys.argv[1], os.O_RDONLY)
print("watching", flush=True)
sys.stdin.read()
try:
    fcntl.ioctl(disk, {THAW}, 0)
except OSError:
    pass  # It is not frozen.
"""


class StallableDisk:
    """Mounted while in the context. Needs root and the right to mount."""

    def __init__(self) -> None:
        self._kept = tempfile.TemporaryDirectory(prefix="hf-disk-")
        self.folder = Path(self._kept.name) / "disk"
        self._thawer: subprocess.Popen[str] | None = None

    def __enter__(self) -> StallableDisk:
        image = self.folder.with_name("image")
        self.folder.mkdir()
        with open(image, "wb") as stream:
            stream.truncate(SIZE_BYTES)
        quickly = "lazy_itable_init=1,lazy_journal_init=1"
        _run("mkfs.ext4", "-q", "-F", "-E", quickly, str(image))
        _run("mount", "-o", "loop", str(image), str(self.folder))
        self._thawer = subprocess.Popen(
            [sys.executable, "-c", THAWING, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._thawer.stdout is not None
        assert self._thawer.stdout.readline() == "watching\n"
        return self

    def freeze(self) -> None:
        """From now on whoever writes waits. First flushes what was written."""
        self._tell(FREEZE)

    def thaw(self) -> None:
        self._tell(THAW)

    def _tell(self, order: int) -> None:
        disk = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(disk, order, 0)
        finally:
            os.close(disk)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._thawer is not None
        self._thawer.communicate("")
        give_up_s = time.monotonic() + UNMOUNT_S_MAX
        pause = threading.Event()
        while not _unmounted(self.folder) and time.monotonic() < give_up_s:
            pause.wait(0.2)
        assert not self.folder.is_mount(), f"{self.folder} is still mounted"
        shutil.rmtree(self.folder)
        self._kept.cleanup()


def _unmounted(folder: Path) -> bool:
    done = subprocess.run(["umount", str(folder)], capture_output=True, check=False)
    return done.returncode == 0


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=MAKE_S_MAX)
    assert done.returncode == 0, (words, done.stderr)
