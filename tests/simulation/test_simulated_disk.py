"""The simulated disk keeps what it promised and nothing more."""

import pytest

from tests.simulation.disk import ALL, NOTHING, SECTOR_BYTES, SOME, Interrupted, SimDisk
from tests.simulation.world import Rng


def make_disk(*, sectors: int = 4) -> SimDisk:
    disk = SimDisk(Rng(1, 1))
    disk.create_zeroed("log/a", sectors * SECTOR_BYTES)
    disk.fsync_dir("log")
    return disk


def test_what_was_flushed_survives_a_power_cut() -> None:
    disk = make_disk()
    disk.pwritev("log/a", 3, [b"kept", b"too"])
    disk.fdatasync("log/a")

    disk.power_cut(NOTHING)

    assert disk.pread("log/a", 3, 7) == b"kepttoo"


def test_what_was_not_flushed_is_read_back_but_lost_with_the_power() -> None:
    disk = make_disk()
    disk.pwritev("log/a", 0, [b"lost"])
    assert disk.pread("log/a", 0, 4) == b"lost"

    disk.power_cut(NOTHING)

    assert disk.pread("log/a", 0, 4) == bytes(4)


def test_a_torn_write_keeps_any_of_its_sectors_and_each_of_them_whole() -> None:
    seen = set()
    for seed in range(40):
        disk = SimDisk(Rng(seed, 1))
        disk.create_zeroed("a", 3 * SECTOR_BYTES)
        disk.fsync_dir(".")
        disk.pwritev("a", 0, [b"x" * (3 * SECTOR_BYTES)])
        disk.power_cut(SOME)
        sectors = [disk.pread("a", at * SECTOR_BYTES, SECTOR_BYTES) for at in range(3)]
        assert all(len(set(sector)) == 1 for sector in sectors)
        seen.add(tuple(sector[:1] for sector in sectors))

    # All subsets turn up, those that keep a later sector without an earlier one as well.
    assert len(seen) == 8


def test_a_name_is_durable_only_with_its_directory() -> None:
    disk = make_disk()
    disk.create_zeroed("log/b", 10)
    disk.rename("log/a", "log/c")

    disk.power_cut(NOTHING)

    assert list(disk.list("log")) == ["a"]


def test_a_rename_happens_wholly_or_not_at_all() -> None:
    for mode in (NOTHING, SOME, ALL):
        disk = make_disk()
        disk.rename("log/a", "log/c")

        disk.power_cut(mode)

        assert list(disk.list("log")) in (["a"], ["c"])


def test_a_fuse_ends_the_process_in_the_middle_of_a_write() -> None:
    disk = make_disk()
    disk.fuse = 1
    disk.pwritev("log/a", 0, [b"done"])

    with pytest.raises(Interrupted):
        disk.pwritev("log/a", 0, [b"xxxx"])

    assert disk.pread("log/a", 0, 4)[3:] in (b"e", b"x")


def test_rot_is_not_healed_by_a_flush() -> None:
    disk = make_disk()

    disk.rot("log/a", 5, 3)
    disk.fdatasync("log/a")
    disk.power_cut(ALL)

    assert disk.pread("log/a", 5, 1) == b"\x08"
