"""The disk as a port, and the real one.

Problem: every promise the store makes rests on what the disk did, so tests must be able to tear,
lose and corrupt writes without touching the code that makes the promise. Idea: all file work goes
through these few verbs, named by paths relative to one node's directory; the simulator has a twin.

What always holds: a verb that returns has been obeyed in full (short writes are continued, long
buffer lists are split), and what it could not do is an OSError. Nothing is retried here: after a
failed flush the page cache lies, so whoever gets the error must stop.

Read next: `storage_core.log.writer`, which turns an OSError into the end of the process.
"""

from __future__ import annotations

import os
from typing import Dict, List, Optional, Protocol, Sequence, Union

Buffer = Union[bytes, bytearray, memoryview]

# The kernel's IOV_MAX: pwritev takes no more buffers in one call.
BUFFERS_PER_CALL_MAX = 1024
# Opened files are kept. A node has some hundred segments; beyond this the oldest is closed.
OPEN_FILES_MAX = 512
_ZEROS = bytes(1024 * 1024)


class Disk(Protocol):
    """File work below one directory. Names use "/", and are relative."""

    def pread(self, name: str, offset: int, length: int) -> bytes:
        """Up to `length` bytes; fewer only at the end of the file."""

    def pread_now(self, name: str, offset: int, length: int) -> Optional[bytes]:
        """The same if memory has all of it, else None: never waits for the device."""

    def pwritev(self, name: str, offset: int, buffers: Sequence[Buffer]) -> None:
        """Write all buffers one after the other. Not durable before `fdatasync`."""

    def fdatasync(self, name: str) -> None:
        """Return when every byte written to `name` survives a power cut."""

    def create_zeroed(self, name: str, size_bytes: int) -> None:
        """A new file of zeros, its content durable, its name not before `fsync_dir`."""

    def make_dir(self, name: str) -> None:
        """Make a directory unless it exists; durable with the `fsync_dir` of its parent."""

    def fsync_dir(self, name: str) -> None:
        """Return when creations, renames and removals in directory `name` are durable."""

    def rename(self, old: str, new: str) -> None:
        """Move a file over `new`, in one step."""

    def truncate(self, name: str, size_bytes: int) -> None:
        """Cut or extend to `size_bytes`."""

    def unlink(self, name: str) -> None:
        """Remove a file."""

    def list(self, name: str) -> List[str]:
        """The entries of a directory, sorted."""

    def exists(self, name: str) -> bool:
        """Whether there is such a file or directory."""

    def size(self, name: str) -> int:
        """Length of a file in bytes."""

    def free_bytes(self) -> int:
        """Room that this process may still fill."""

    def close(self) -> None:
        """Let go of every open file."""
