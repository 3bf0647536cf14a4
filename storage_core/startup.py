"""From a directory to a core that may speak.

A crash leaves a log whose end may be torn and whose bytes may never have left the page cache. So
the order here is the promise: lock the directory, read what it says, recover the log, and flush
log and hard state before any index or vote can be announced. What was read back after a kill was
perhaps only in memory; announcing it and losing it in a power cut would lose an acknowledged write.

Read next: `log.recovery` for what is cut and what never is; `node` for who calls this.
"""

from __future__ import annotations

import json
import logging
import os
import random
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import NamedTuple

from storage_core.catalog.machine import Catalog
from storage_core.core import Core
from storage_core.fleet.registry import ASKED_VARIABLE
from storage_core.index.rocks import RocksIndex
from storage_core.io.checksum import crc64
from storage_core.io.disk import RealDisk
from storage_core.log.entries import EntryLog
from storage_core.log.format import SEGMENT_BYTES, Identity, segment_name
from storage_core.log.home import Home, HomeLock, open_home
from storage_core.log.recovery import recover
from storage_core.log.segment import SegmentPool
from storage_core.log.slots import Owner
from storage_core.log.writer import HARD_STATE_NAME, LogWriter
from storage_core.raft.ready import Timing
from storage_core.raft.replica import Replica
from telemetry.config import Settings

READY_SEGMENTS = 1
STOPPED_NAME = "STOPPED"
"""In a node's directory from an orderly end to the next start; without it the last process died."""
log = logging.getLogger(__name__)


class Cluster(NamedTuple):
    """`cluster.json`: what all nodes of a fleet have in common."""

    identity: Identity
    node_count: int


class Opened(NamedTuple):
    """A node's parts, recovered and flushed, not yet running."""

    lock: HomeLock
    disk: RealDisk
    home: Home
    pool: SegmentPool
    index: RocksIndex  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    catalog: Catalog
    core: Core
    writer: LogWriter
    follows_crash: bool
    """The process before this one died instead of leaving."""


def read_cluster(home: Path) -> Cluster:
    """Who we are together. Raises OSError, ValueError, KeyError where the file is not whole."""
    data = json.loads((home / "cluster.json").read_text())
    identity = Identity(int(data["cluster_id"]), int(data["group_id"]))
    return Cluster(identity, int(data["nodes"]))


def open_node(
    settings: Settings, node: int, cluster: Cluster, *, segment_bytes: int = SEGMENT_BYTES
) -> Opened:
    """Recover node `node` under `settings.home`. Raises HomeRefused, CorruptLog, FatalDisk.

    `segment_bytes` is that of a new directory; an old one keeps its own.
    """
    root = settings.home / "data" / f"node-{node}"
    lock = HomeLock(root)
    disk = RealDisk(root)
    owner = Owner(cluster.identity, node)
    home = open_home(
        disk,
        owner=owner,
        crc64=crc64,
        segment_bytes=segment_bytes,
        created_ms=time_ns() // 1_000_000,
    )
    pool = SegmentPool(disk, segment_bytes=home.meta.segment_bytes, ready_count_max=READY_SEGMENTS)
    if home.is_new:
        pool.prepare()
    index = RocksIndex(root / "index")
    catalog = Catalog(index)
    applied = catalog.applied()
    applied_index = applied.index if applied is not None else 0
    log = _recover_log(home, pool, owner, applied_index)
    _flush_everything(disk, pool, home)
    replica = Replica(
        node=node,
        voters=range(cluster.node_count),
        hard_state=home.hard_state,
        log=log,
        timing=Timing(),
        rng=random.random,
        now_us=monotonic_ns() // 1000,
        applied_index=applied_index,
    )
    writer = LogWriter(
        disk=disk,
        pool=pool,
        owner=owner,
        crc64=crc64,
        hard_state_slot=home.hard_state_slot,
        watermark_slot=home.watermark_slot,
    )
    core = Core(replica=replica, log=log, catalog=catalog)
    was_asked = ASKED_VARIABLE in os.environ
    follows_crash = not (_left_in_order(root) or was_asked or home.is_new)
    return Opened(lock, disk, home, pool, index, catalog, core, writer, follows_crash)


def note_stopped(settings: Settings, node: int) -> None:
    """Say to the next start that this process left in order. Raises OSError."""
    (settings.home / "data" / f"node-{node}" / STOPPED_NAME).touch()


def _left_in_order(root: Path) -> bool:
    """What the process before said; asked once, since it is taken back."""
    note = root / STOPPED_NAME
    was_there = note.exists()
    note.unlink(missing_ok=True)
    return was_there


def _recover_log(home: Home, pool: SegmentPool, owner: Owner, applied_index: int) -> EntryLog:
    recovered = recover(
        watermark=home.watermark,
        applied_index=applied_index,
        read=pool.read,
        identity=owner.identity,
        crc64=crc64,
        segment_bytes=home.meta.segment_bytes,
    )
    if recovered.cut is not None:
        cut = recovered.cut
        log.warning(
            "the log's end was cut",
            extra={"index": cut.index, "reason": cut.reason, "later_record": cut.follows},
        )
    return EntryLog(
        start=recovered.table.start,
        identity=owner.identity,
        crc64=crc64,
        read=pool.read,
        segment_bytes=home.meta.segment_bytes,
        table=recovered.table,
    )


def _flush_everything(disk: RealDisk, pool: SegmentPool, home: Home) -> None:
    """Only what was durable before the watermark is known to be; the rest is flushed now."""
    first = home.watermark.durable.position.segment_seq
    for segment_seq in pool.live():
        if segment_seq >= first:
            disk.fdatasync(segment_name(segment_seq))
    disk.fdatasync(HARD_STATE_NAME)
    disk.fsync_dir("log")
