"""The real disk obeys in full, or raises."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from storage_core.io.clock import RealClock
from storage_core.io.disk import BUFFERS_PER_CALL_MAX, OPEN_FILES_MAX, RealDisk


@pytest.fixture
def disk(tmp_path: Path) -> RealDisk:
    return RealDisk(tmp_path / "node-0")


def open_descriptors_count() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_more_buffers_than_the_kernel_takes_are_written_in_order(disk: RealDisk) -> None:
    disk.create_zeroed("a", 0)
    buffers = [b"%d," % number for number in range(2 * BUFFERS_PER_CALL_MAX + 5)]

    disk.pwritev("a", 10, buffers)

    whole = b"".join(buffers)
    assert disk.pread("a", 0, 10 + len(whole)) == bytes(10) + whole


def test_a_short_write_is_continued(disk: RealDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.create_zeroed("a", 0)
    pwritev = os.pwritev

    def write_seven(fd: int, buffers: list[bytes], offset: int) -> int:
        return pwritev(fd, [b"".join(buffers)[:7]], offset)

    monkeypatch.setattr(os, "pwritev", write_seven)
    disk.pwritev("a", 0, [b"abc", b"", b"defghijk", bytearray(b"lmnopqrstu"), memoryview(b"v")])

    assert disk.pread("a", 0, 100) == b"abcdefghijklmnopqrstuv"


def test_a_read_ends_with_the_file(disk: RealDisk) -> None:
    disk.create_zeroed("a", 100)

    assert disk.pread("a", 90, 20) == bytes(10)
    assert disk.pread("a", 100, 20) == b""
    assert disk.pread_now("a", 0, 100) == bytes(100)
    assert disk.pread_now("a", 90, 20) is None


def test_a_rename_takes_the_open_file_along(disk: RealDisk) -> None:
    disk.create_zeroed("old", 10)
    disk.create_zeroed("new", 10)
    disk.pwritev("old", 0, [b"old bytes"])
    disk.pwritev("new", 0, [b"new bytes"])

    disk.rename("old", "new")

    assert disk.pread("new", 0, 9) == b"old bytes"
    assert not disk.exists("old")
    with pytest.raises(FileNotFoundError):
        disk.pread("old", 0, 1)


def test_a_removed_file_is_gone_for_readers(disk: RealDisk) -> None:
    disk.create_zeroed("a", 10)
    assert disk.pread("a", 0, 1) == b"\0"

    disk.unlink("a")

    with pytest.raises(FileNotFoundError):
        disk.pread("a", 0, 1)


def test_directories_are_made_and_listed_in_order(disk: RealDisk) -> None:
    disk.make_dir("log")
    disk.make_dir("log")
    for name in ("log/b", "log/a", "log/c"):
        disk.create_zeroed(name, 3)
    disk.fsync_dir("log")

    assert list(disk.list("log")) == ["a", "b", "c"]
    assert disk.size("log/a") == 3
    disk.truncate("log/a", 8)
    assert disk.size("log/a") == 8


def test_free_room_is_known(disk: RealDisk) -> None:
    assert disk.free_bytes() > 0


def test_open_files_are_bounded_and_closed_with_the_disk(disk: RealDisk) -> None:
    before = open_descriptors_count()
    for number in range(OPEN_FILES_MAX + 20):
        name = "file-%d" % number
        disk.create_zeroed(name, 0)
        disk.pwritev(name, 0, [b"x"])

    assert open_descriptors_count() - before == OPEN_FILES_MAX
    assert disk.pread("file-0", 0, 1) == b"x"
    disk.close()
    assert open_descriptors_count() == before


def test_threads_read_their_own_file_while_others_come_and_go(disk: RealDisk) -> None:
    wrong: list[bytes] = []
    disk.create_zeroed("kept", 4)
    disk.pwritev("kept", 0, [b"kept"])

    def read_kept() -> None:
        for _ in range(2000):
            found = disk.pread("kept", 0, 4)
            if found != b"kept":
                wrong.append(found)

    def come_and_go(name: str) -> None:
        for _ in range(300):
            disk.create_zeroed(name, 0)
            disk.pwritev(name, 0, [b"gone"])
            disk.unlink(name)

    threads = [threading.Thread(target=read_kept) for _ in range(2)]
    threads += [threading.Thread(target=come_and_go, args=("t%d" % n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_a_file_that_does_not_exist_is_an_error(disk: RealDisk) -> None:
    with pytest.raises(FileNotFoundError):
        disk.pwritev("nothing", 0, [b"x"])
    with pytest.raises(FileNotFoundError):
        disk.fdatasync("nothing")


def test_the_clocks_go_forward_in_their_units() -> None:
    clock = RealClock()

    first_us, first_ms = clock.monotonic_us(), clock.wall_ms()

    assert first_us <= clock.monotonic_us() < first_us + 60_000_000
    assert 1_700_000_000_000 < first_ms < 4_000_000_000_000
