"""A disk that keeps exactly what it promised: bytes flushed, and names whose directory was flushed.

Everything else a power cut may take or tear, sector by sector and in any order: of what was written
since the last flush each 512-byte sector is old or new by itself, and of the renames and creations
since the last flush of the directory only the first few are kept. A killed process loses nothing,
because the page cache outlives it; that is why a restart must flush before it speaks.

A fuse lets a crash happen between any two steps of a write, or in the middle of one.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Set, Tuple, Union

from tests.simulation.world import Rng

SECTOR_BYTES = 512
Buffer = Union[bytes, bytearray, memoryview]

NOTHING, SOME, FIRST, ALL = range(4)


class Interrupted(BaseException):
    """The process died here. Not an Exception, so that nobody handles it."""


class _File:
    __slots__ = ("content", "durable", "unflushed")

    def __init__(self) -> None:
        self.content = bytearray()
        self.durable = bytearray()
        self.unflushed: Set[int] = set()


class SimDisk:
    """One node's directory. Implements storage_core.io.disk.Disk."""

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._names: Dict[str, _File] = {}
        self._durable_names: Dict[str, _File] = {}
        # Changes of names since the last flush of their directory, each of them atomic.
        self._renames: List[List[Tuple[str, Optional[_File]]]] = []
        self.fuse: Optional[int] = None
        self.flush_count = 0

    # -- the port -------------------------------------------------------------------------------

    def pread(self, name: str, offset: int, length: int) -> bytes:
        return bytes(self._file(name).content[offset : offset + length])

    def pread_now(self, name: str, offset: int, length: int) -> Optional[bytes]:
        return self.pread(name, offset, length)

    def pwritev(self, name: str, offset: int, buffers: Sequence[Buffer]) -> None:
        data = b"".join(buffers)
        if self._burns():
            data = data[: self._rng.below(len(data) + 1)]
            self._write(self._file(name), offset, data)
            raise Interrupted
        self._write(self._file(name), offset, data)

    def fdatasync(self, name: str) -> None:
        if self._burns():
            raise Interrupted
        self.flush_count += 1
        self._flush(self._file(name))

    def create_zeroed(self, name: str, size_bytes: int) -> None:
        if self._burns():
            raise Interrupted
        file = _File()
        file.content = bytearray(size_bytes)
        file.durable = bytearray(size_bytes)
        self._rename([(name, file)])

    def make_dir(self, name: str) -> None:
        """Directories need no model: there is one, made at the first start."""

    def fsync_dir(self, name: str) -> None:
        if self._burns():
            raise Interrupted
        kept = []
        for change in self._renames:
            if _directory(change[0][0]) == name:
                self._keep(change)
            else:
                kept.append(change)
        self._renames = kept

    def rename(self, old: str, new: str) -> None:
        if self._burns():
            raise Interrupted
        self._rename([(old, None), (new, self._file(old))])

    def truncate(self, name: str, size_bytes: int) -> None:
        file = self._file(name)
        assert size_bytes >= len(file.content), "nobody cuts files short"
        file.content.extend(bytes(size_bytes - len(file.content)))

    def unlink(self, name: str) -> None:
        self._file(name)
        self._rename([(name, None)])

    def list(self, name: str) -> Sequence[str]:
        inside = [path for path in self._names if _directory(path) == name]
        return sorted([path.rpartition("/")[2] for path in inside])

    def exists(self, name: str) -> bool:
        return name in self._names

    def size(self, name: str) -> int:
        return len(self._file(name).content)

    def free_bytes(self) -> int:
        return 1 << 40

    def close(self) -> None:
        """Nothing is held open."""

    # -- faults ---------------------------------------------------------------------------------

    def power_cut(self, mode: int) -> None:
        """What was not flushed is gone, kept or torn, as `mode` says."""
        changes = self._renames
        count = {NOTHING: 0, ALL: len(changes)}.get(mode, self._rng.below(len(changes) + 1))
        for change in changes[:count]:
            self._keep(change)
        self._renames = []
        self._names = dict(self._durable_names)
        for name in sorted(self._names):
            self._tear(self._names[name], mode)

    def rot(self, name: str, offset: int, bit: int) -> None:
        """A bit flips on the medium; no flush brings it back."""
        file = self._file(name)
        assert offset // SECTOR_BYTES not in file.unflushed, "rot is for what was kept well"
        file.content[offset] ^= 1 << bit
        file.durable[offset] ^= 1 << bit

    def unflushed_sectors(self) -> int:
        return sum([len(file.unflushed) for file in self._names.values()])

    # -- inside ---------------------------------------------------------------------------------

    def _file(self, name: str) -> _File:
        file = self._names.get(name)
        if file is None:
            raise FileNotFoundError(name)
        return file

    def _burns(self) -> bool:
        if self.fuse is None:
            return False
        self.fuse -= 1
        return self.fuse < 0

    def _write(self, file: _File, offset: int, data: bytes) -> None:
        end = offset + len(data)
        if end > len(file.content):
            file.content.extend(bytes(end - len(file.content)))
        file.content[offset:end] = data
        if data:
            file.unflushed.update(range(offset // SECTOR_BYTES, (end - 1) // SECTOR_BYTES + 1))

    def _flush(self, file: _File) -> None:
        _grow(file.durable, len(file.content))
        for sector in file.unflushed:
            _copy_sector(file, sector)
        file.unflushed.clear()

    def _tear(self, file: _File, mode: int) -> None:
        if file.unflushed or len(file.content) != len(file.durable):
            sectors = sorted(file.unflushed)
            first = self._rng.below(len(sectors) + 1)
            for place, sector in enumerate(sectors):
                if mode == ALL or (mode == FIRST and place < first):
                    _copy_sector(file, sector)
                elif mode == SOME and self._rng.chance(0.5):
                    _copy_sector(file, sector)
            file.unflushed.clear()
            file.content = bytearray(file.durable)

    def _rename(self, change: List[Tuple[str, Optional[_File]]]) -> None:
        self._renames.append(change)
        _apply(self._names, change)

    def _keep(self, change: List[Tuple[str, Optional[_File]]]) -> None:
        _apply(self._durable_names, change)


def _apply(names: Dict[str, _File], change: List[Tuple[str, Optional[_File]]]) -> None:
    for name, file in change:
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file


def _grow(content: bytearray, size_bytes: int) -> None:
    if len(content) < size_bytes:
        content.extend(bytes(size_bytes - len(content)))


def _copy_sector(file: _File, sector: int) -> None:
    start = sector * SECTOR_BYTES
    stop = min(start + SECTOR_BYTES, len(file.content))
    _grow(file.durable, stop)
    file.durable[start:stop] = file.content[start:stop]


def _directory(path: str) -> str:
    return path.rpartition("/")[0] or "."
