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

import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Union

# Built at run time, also under Python 3.9 (the simulator's).
Buffer = Union[bytes, bytearray, memoryview]  # noqa: UP007

# The kernel's IOV_MAX: pwritev takes no more buffers in one call.
BUFFERS_PER_CALL_MAX = 1024
# Opened files are kept. A node has some hundred segments; beyond this the oldest is closed.
OPEN_FILES_MAX = 512
_ZEROS = bytes(1024 * 1024)


class Disk(Protocol):
    """File work below one directory. Names use "/", and are relative."""

    def pread(self, name: str, offset: int, length: int) -> bytes:
        """Up to `length` bytes; fewer only at the end of the file."""

    def pread_now(self, name: str, offset: int, length: int) -> bytes | None:
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

    def list(self, name: str) -> Sequence[str]:
        """The entries of a directory, sorted."""

    def exists(self, name: str) -> bool:
        """Whether there is such a file or directory."""

    def size(self, name: str) -> int:
        """Length of a file in bytes."""

    def free_bytes(self) -> int:
        """Room that this process may still fill."""

    def close(self) -> None:
        """Let go of every open file."""


class _OpenFile:
    """A file descriptor and who is using it. `doomed`: the last user closes it."""

    __slots__ = ("doomed", "fd", "users")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.users = 0
        self.doomed = False


class RealDisk:
    """A directory of this machine. Safe for threads: a descriptor in use is never closed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._prefix = str(root) + "/"
        self._lock = threading.Lock()
        self._open_files: dict[str, _OpenFile] = {}

    def pread(self, name: str, offset: int, length: int) -> bytes:
        file = self._borrow(name)
        try:
            found = os.pread(file.fd, length, offset)
            if len(found) == length or not found:
                return found
            pieces = [found]
            missing = length - len(found)
            while missing:
                found = os.pread(file.fd, missing, offset + length - missing)
                if not found:
                    break
                pieces.append(found)
                missing -= len(found)
            return b"".join(pieces)
        finally:
            self._give_back(file)

    def pread_now(self, name: str, offset: int, length: int) -> bytes | None:
        buffer = bytearray(length)
        file = self._borrow(name)
        try:
            count = os.preadv(file.fd, [buffer], offset, os.RWF_NOWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            # A file system that can't promise not to wait: as good as not in memory.
            if error.errno == errno.EOPNOTSUPP:
                return None
            raise
        finally:
            self._give_back(file)
        return bytes(buffer) if count == length else None

    def pwritev(self, name: str, offset: int, buffers: Sequence[Buffer]) -> None:
        file = self._borrow(name)
        try:
            for first in range(0, len(buffers), BUFFERS_PER_CALL_MAX):
                offset = _write_all(file.fd, offset, buffers[first : first + BUFFERS_PER_CALL_MAX])
        finally:
            self._give_back(file)

    def fdatasync(self, name: str) -> None:
        file = self._borrow(name)
        try:
            os.fdatasync(file.fd)
        finally:
            self._give_back(file)

    def create_zeroed(self, name: str, size_bytes: int) -> None:
        self._forget(name)
        flags = os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC
        fd = os.open(self._prefix + name, flags, 0o600)
        try:
            offset = 0
            while offset < size_bytes:
                length = min(size_bytes - offset, len(_ZEROS))
                offset = _write_all(fd, offset, [memoryview(_ZEROS)[:length]])
            os.fsync(fd)
        finally:
            os.close(fd)

    def make_dir(self, name: str) -> None:
        os.makedirs(self._prefix + name, mode=0o700, exist_ok=True)

    def fsync_dir(self, name: str) -> None:
        fd = os.open(self._prefix + name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, old: str, new: str) -> None:
        with self._lock:
            os.rename(self._prefix + old, self._prefix + new)
            self._doom(self._open_files.pop(new, None))
            file = self._open_files.pop(old, None)
            if file is not None:
                self._open_files[new] = file

    def truncate(self, name: str, size_bytes: int) -> None:
        os.truncate(self._prefix + name, size_bytes)

    def unlink(self, name: str) -> None:
        self._forget(name)
        os.unlink(self._prefix + name)

    def list(self, name: str) -> Sequence[str]:
        return sorted(os.listdir(self._prefix + name))

    def exists(self, name: str) -> bool:
        return os.path.exists(self._prefix + name)

    def size(self, name: str) -> int:
        return os.stat(self._prefix + name).st_size

    def free_bytes(self) -> int:
        room = os.statvfs(self.root)
        return room.f_bavail * room.f_frsize

    def close(self) -> None:
        with self._lock:
            for file in self._open_files.values():
                self._doom(file)
            self._open_files.clear()

    def _borrow(self, name: str) -> _OpenFile:
        with self._lock:
            file = self._open_files.get(name)
            if file is None:
                file = _OpenFile(os.open(self._prefix + name, os.O_RDWR | os.O_CLOEXEC))
                if len(self._open_files) >= OPEN_FILES_MAX:
                    self._doom(self._open_files.pop(next(iter(self._open_files))))
                self._open_files[name] = file
            file.users += 1
            return file

    def _give_back(self, file: _OpenFile) -> None:
        with self._lock:
            file.users -= 1
            assert file.users >= 0, file.users
            if file.doomed and not file.users:
                os.close(file.fd)

    def _forget(self, name: str) -> None:
        with self._lock:
            self._doom(self._open_files.pop(name, None))

    def _doom(self, file: _OpenFile | None) -> None:
        """Close now or with the last user. The lock is held."""
        if file is None:
            return
        file.doomed = True
        if not file.users:
            os.close(file.fd)


def _write_all(fd: int, offset: int, buffers: Sequence[Buffer]) -> int:
    """One call's worth of buffers, continued after a short write. The offset after them."""
    pending = list(buffers)
    while pending:
        written = os.pwritev(fd, pending, offset)
        offset += written
        while pending and written >= len(pending[0]):
            written -= len(pending[0])
            pending.pop(0)
        if written:
            pending[0] = memoryview(pending[0])[written:]
    return offset
