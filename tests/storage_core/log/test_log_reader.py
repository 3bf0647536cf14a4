"""Bodies at rest: whole, verified, and not recycled under a reader."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from storage_core.errors import DamagedBody
from storage_core.io.checksum import crc64
from storage_core.io.disk import RealDisk
from storage_core.log.format import Extent, segment_name
from storage_core.log.reader import BodyReader

BODY = bytes(range(256)) * 20


class ColdDisk(RealDisk):
    """A disk whose page cache is always empty."""

    def pread_now(self, name: str, offset: int, length: int) -> bytes | None:
        return None


def store(disk: RealDisk, body: bytes) -> Extent:
    disk.make_dir("log")
    disk.create_zeroed(segment_name(3), 16384)
    disk.pwritev(segment_name(3), 1000, [body])
    return Extent(3, 1000, len(body), crc64(body))


def make_reader(disk: RealDisk) -> BodyReader:
    return BodyReader(disk, crc64=crc64, executor=None)


def read_all(reader: BodyReader, extents: Sequence[Extent]) -> list[bytes]:
    async def read() -> list[bytes]:
        return [await reader.read(extent) for extent in extents]

    return asyncio.run(read())


def test_a_body_in_memory_is_read_without_waiting(tmp_path: Path) -> None:
    disk = RealDisk(tmp_path)
    extent = store(disk, BODY)
    reader = make_reader(disk)

    assert reader.read_now(extent) == BODY
    assert read_all(reader, [extent]) == [BODY]
    assert (reader.cached_count, reader.missed_count) == (2, 0)


def test_a_body_that_is_not_in_memory_is_read_on_a_thread(tmp_path: Path) -> None:
    disk = ColdDisk(tmp_path)
    extent = store(disk, BODY)
    reader = make_reader(disk)

    assert reader.read_now(extent) is None
    assert read_all(reader, [extent]) == [BODY]
    assert (reader.cached_count, reader.missed_count) == (0, 1)


@pytest.mark.parametrize("disk_type", [RealDisk, ColdDisk])
def test_a_damaged_body_is_never_returned(tmp_path: Path, disk_type: type[RealDisk]) -> None:
    disk = disk_type(tmp_path)
    extent = store(disk, BODY)
    disk.pwritev(segment_name(3), 1000 + 4000, [b"!"])

    with pytest.raises(DamagedBody) as refused:
        read_all(make_reader(disk), [extent])

    assert (refused.value.segment_seq, refused.value.offset) == (3, 1000)


@pytest.mark.parametrize("disk_type", [RealDisk, ColdDisk])
@pytest.mark.parametrize("extent", [Extent(3, 16000, 500, 0), Extent(4, 0, 10, 0)])
def test_bytes_that_are_not_there_are_damage(
    tmp_path: Path, disk_type: type[RealDisk], extent: Extent
) -> None:
    disk = disk_type(tmp_path)
    store(disk, BODY)

    with pytest.raises(DamagedBody):
        read_all(make_reader(disk), [extent])


def test_an_empty_body_needs_no_disk(tmp_path: Path) -> None:
    assert make_reader(RealDisk(tmp_path)).read_now(Extent(9, 9, 0, 0)) == b""


def test_a_segment_is_held_until_the_last_reader_is_done(tmp_path: Path) -> None:
    reader = make_reader(RealDisk(tmp_path))
    extents = [Extent(1, 0, 5, 0), Extent(1, 50, 5, 0), Extent(2, 0, 5, 0)]

    with reader.hold(extents):
        with reader.hold(extents[:1]):
            assert reader.is_held(1)
        assert reader.is_held(1)
        assert reader.is_held(2)
    assert not reader.is_held(1)
    assert not reader.is_held(2)
