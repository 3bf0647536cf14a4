"""A node's directory: whose it is, that nobody else uses it, and its two-slot files.

Problem: two processes on one directory, or a directory copied to another node, would break every
promise in silence. Idea: a lock that the kernel drops with its holder, and files that name their
cluster, group and node. What always holds: `META` is made last, so that a directory with a valid
META has a valid hard state and watermark; one without META but with segments is refused.

Layout: LOCK, META, hard-state, watermark, log/ (see `segment`), index/.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from storage_core.errors import StoreError
from storage_core.io.disk import Buffer, Disk
from storage_core.log.format import Crc64, RecordDamage
from storage_core.log.slots import (
    FIRST_HARD_STATE,
    FIRST_WATERMARK,
    SLOT_BYTES,
    SLOT_COUNT,
    Meta,
    Owner,
    Watermark,
    decode_hard_state,
    decode_meta,
    decode_watermark,
    encode_hard_state,
    encode_meta,
    encode_watermark,
    newest_slot,
)
from storage_core.log.writer import HARD_STATE_NAME, WATERMARK_NAME
from storage_core.raft.messages import HardState

META_NAME = "META"
LOCK_NAME = "LOCK"

Value = TypeVar("Value")


class HomeRefused(StoreError):
    """This directory can't be used as it is: an operator must act. Says what is wrong."""


class Home(NamedTuple):
    """A node's directory as found. Slot numbers say where the newest values lie."""

    meta: Meta
    hard_state: HardState
    hard_state_slot: int
    watermark: Watermark
    watermark_slot: int
    is_new: bool


class HomeLock:
    """Exclusive use of a directory, for as long as the process lives or until `release`."""

    def __init__(self, root: Path) -> None:
        """Take the lock or raise HomeRefused, which names the holder."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(root / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 100, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise HomeRefused("%s is in use by %s" % (root, holder or "another process")) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"pid %d\n" % os.getpid(), 0)

    def release(self) -> None:
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def open_home(
    disk: Disk, *, owner: Owner, crc64: Crc64, segment_bytes: int, created_ms: int
) -> Home:
    """What the directory says, after making it if it is new.

    `segment_bytes` and `created_ms` are used for a new directory; an old one keeps its own.
    """
    is_new = not disk.exists(META_NAME)
    if is_new:
        _make(disk, owner, crc64, Meta(0, segment_bytes, created_ms))
    _, meta = _newest(disk, META_NAME, decode_meta, owner, crc64)
    hard_state_slot, hard_state = _newest(disk, HARD_STATE_NAME, decode_hard_state, owner, crc64)
    watermark_slot, watermark = _newest(disk, WATERMARK_NAME, decode_watermark, owner, crc64)
    return Home(meta, hard_state, hard_state_slot, watermark, watermark_slot, is_new)


def _make(disk: Disk, owner: Owner, crc64: Crc64, meta: Meta) -> None:
    if disk.exists("log") and any(name.endswith(".seg") for name in disk.list("log")):
        raise HomeRefused(
            "there are segments but no %s: restore it, or empty the directory" % META_NAME
        )
    _make_slots(disk, HARD_STATE_NAME, encode_hard_state(FIRST_HARD_STATE, owner, crc64))
    _make_slots(disk, WATERMARK_NAME, encode_watermark(FIRST_WATERMARK, owner, crc64))
    # Under another name first: a META that exists is whole.
    _make_slots(disk, "META.tmp", encode_meta(meta, owner, crc64))
    disk.rename("META.tmp", META_NAME)
    disk.fsync_dir(".")


def _make_slots(disk: Disk, name: str, slot: bytes) -> None:
    """A two-slot file with the same value in both, durable."""
    disk.create_zeroed(name, SLOT_COUNT * SLOT_BYTES)
    disk.pwritev(name, 0, [slot] * SLOT_COUNT)
    disk.fdatasync(name)
    disk.fsync_dir(".")


def _newest(
    disk: Disk,
    name: str,
    decode: Callable[[Buffer, Owner, Crc64], Value],
    owner: Owner,
    crc64: Crc64,
) -> tuple[int, Value]:
    try:
        file = disk.pread(name, 0, SLOT_COUNT * SLOT_BYTES)
        return newest_slot(file, decode, owner, crc64)
    except FileNotFoundError:
        raise HomeRefused("%s is missing" % name) from None
    except RecordDamage as damage:
        raise HomeRefused("%s: %s" % (name, damage.reason)) from damage
