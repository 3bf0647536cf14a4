"""A node's directory: made once, used by one, never mistaken for another's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage_core.io.checksum import crc64
from storage_core.io.disk import RealDisk
from storage_core.log.format import Identity
from storage_core.log.home import Home, HomeLock, HomeRefused, open_home
from storage_core.log.slots import FIRST_HARD_STATE, FIRST_WATERMARK, Meta, Owner
from tests.storage_core.log.samples import IDENTITY, OWNER


def open_at(root: Path, owner: Owner = OWNER, created_ms: int = 5) -> Home:
    return open_home(
        RealDisk(root), owner=owner, crc64=crc64, segment_bytes=1 << 20, created_ms=created_ms
    )


def test_a_new_directory_is_made_and_an_old_one_is_kept(tmp_path: Path) -> None:
    new = open_at(tmp_path)
    old = open_at(tmp_path, created_ms=6)

    assert new.is_new
    assert not old.is_new
    assert old.meta == Meta(sequence=0, segment_bytes=1 << 20, created_ms=5)
    assert old.hard_state == FIRST_HARD_STATE
    assert old.watermark == FIRST_WATERMARK


@pytest.mark.parametrize(
    "owner", [Owner(IDENTITY, 1), Owner(Identity(99, 1), 2), Owner(Identity(99, 2), 2)]
)
def test_the_directory_of_another_node_is_refused(tmp_path: Path, owner: Owner) -> None:
    open_at(tmp_path)

    with pytest.raises(HomeRefused, match="META: slot of another cluster, group or node"):
        open_at(tmp_path, owner)


@pytest.mark.parametrize("name", ["META", "hard-state", "watermark"])
def test_a_file_with_no_valid_slot_is_refused(tmp_path: Path, name: str) -> None:
    open_at(tmp_path)
    (tmp_path / name).write_bytes(bytes(8192))

    with pytest.raises(HomeRefused, match=name):
        open_at(tmp_path)


@pytest.mark.parametrize("name", ["hard-state", "watermark"])
def test_a_missing_file_is_refused_rather_than_made_anew(tmp_path: Path, name: str) -> None:
    open_at(tmp_path)
    (tmp_path / name).unlink()

    with pytest.raises(HomeRefused, match="%s is missing" % name):
        open_at(tmp_path)


def test_segments_without_meta_are_refused(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "0000000000000000.seg").touch()

    with pytest.raises(HomeRefused, match="no META"):
        open_at(tmp_path)


def test_a_crash_while_making_a_directory_is_made_good(tmp_path: Path) -> None:
    open_at(tmp_path)
    (tmp_path / "META").unlink()

    assert open_at(tmp_path).is_new


def test_a_directory_in_use_names_its_holder(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)

    with pytest.raises(HomeRefused, match="in use by pid %d" % os.getpid()):
        HomeLock(tmp_path)

    lock.release()
    HomeLock(tmp_path).release()
