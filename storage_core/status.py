"""What a node says of itself on its admin port, and the gauges it exports.

One place gathers the figures, so that the console, `manage.py status` and the metrics can't
disagree. Quantiles are of the last half to whole minute: two histograms take turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from storage_core.raft.ready import FOLLOWER, LEADER
from telemetry import names
from telemetry.metrics import Histogram, MetricSet

if TYPE_CHECKING:
    from storage_core.engine import Engine
    from storage_core.peers import Process
    from storage_core.startup import Opened

VERSION = "0.1.0"
WINDOW_S = 30.0


class RecentTimes:
    """A histogram of the last 30 to 60 seconds, beside one that is exported and never forgets."""

    def __init__(self, exported: Histogram) -> None:
        self._exported = exported
        self._now = Histogram()
        self._before = Histogram()
        self._turned_s = time.monotonic()

    def record(self, value_ns: int) -> None:
        self._exported.record(value_ns)
        self._now.record(value_ns)

    def quantiles_ms(self) -> dict[str, float | None]:
        """p50 and p99 in milliseconds; None where nothing was recorded."""
        if time.monotonic() - self._turned_s > WINDOW_S:
            self._before, self._now = self._now, Histogram()
            self._turned_s = time.monotonic()
        both = Histogram()
        both.merge(self._before)
        both.merge(self._now)
        found: dict[str, float | None] = {}
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            value_ns = both.quantile_ns(share)
            found[name] = None if value_ns is None else round(value_ns / 1e6, 3)
        return found


class NodeFacts:
    """Answers GET /status and GET /segments."""

    def __init__(
        self,
        *,
        engine: Engine,
        opened: Opened,
        process: Process,
        flush_times: RecentTimes,
        metrics: MetricSet,
        is_in_front_door: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._opened = opened
        self._process = process
        self._flush_times = flush_times
        self._metrics = metrics
        self._is_in_front_door = is_in_front_door
        self._started_s = time.monotonic()

    def role(self) -> str:
        """leader, follower or candidate."""
        role = self._engine.core.replica.role
        return role if role in (LEADER, FOLLOWER) else "candidate"

    def requests(self) -> dict[str, int]:
        """Ended requests by kind since the start, from the recorder's own instruments."""
        found = {"read": 0, "write": 0, "failed": 0}
        for attributes, histogram in self._metrics.histograms_of(names.REQUEST_DURATION):
            kind = str(attributes[names.KIND])
            if kind in found:  # what is refused before it is understood is neither
                found[kind] += histogram.count
        for attributes, counter in self._metrics.counters_of(names.REQUESTS_FAILED):
            if attributes[names.KIND] == names.KIND_CANARY:
                continue
            found["failed"] += counter.value
        return found

    def status(self, _: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """The contract of `storage_core.client.decode_status`."""
        core, replica, pool = self._engine.core, self._engine.core.replica, self._opened.pool
        now_us = time.monotonic_ns() // 1000
        last_index = core.log.last_index
        peers = {
            str(peer): {
                "match_index": progress.match_index,
                "lag_entries": max(0, last_index - progress.match_index),
                "connected": self._engine.peers is not None
                and self._engine.peers.is_connected(peer),
            }
            for peer, progress in replica.progress.items()
        }
        lease_ms = replica.timing.lease_us // 1000 if replica.lease_valid(now_us) else 0
        return 200, {
            "node": self._engine.node,
            "role": self.role(),
            "term": replica.term,
            "leader": replica.leader,
            "commit_index": replica.commit_index,
            "applied_index": core.applied_index,
            "last_index": last_index,
            "durable_index": core.log.durable_index,
            "lease_ms": lease_ms,
            "elections": replica.elections_count,
            "drained": replica.drained,
            "uptime_s": round(time.monotonic() - self._started_s, 1),
            "follows_crash": self._opened.follows_crash,
            "pid": self._process.pid,
            "start_time_ticks": self._process.start_time_ticks,
            "boot_id": self._process.boot_id.hex(),
            "version": VERSION,
            "disk_free_bytes": self._opened.disk.free_bytes(),
            "log_bytes": pool.log_bytes,
            "segments": {"live": len(pool.live()), "ready": pool.ready_count},
            "flush_ms": self._flush_times.quantiles_ms(),
            "requests": self.requests(),
            "front_door": self._is_in_front_door(),
            "peers": peers,
        }

    def segments(self, _: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """Live bytes of every segment."""
        live_bytes = self._opened.catalog.segments()
        return 200, {
            "segment_bytes": self._opened.pool.segment_bytes,
            "segments": [
                {"segment": seq, "live_bytes": live_bytes.get(seq, 0)}
                for seq in self._opened.pool.live()
            ],
        }

    def export_gauges(self) -> None:
        """Read at each export by the metrics thread; plain attribute reads only."""
        core, replica = self._engine.core, self._engine.core.replica
        gauge = self._metrics.gauge
        gauge(names.LOG_INDEX_COMMITTED, lambda: replica.commit_index)
        gauge(names.LOG_INDEX_APPLIED, lambda: core.applied_index)
        gauge(names.LOG_BYTES, lambda: self._opened.pool.log_bytes)
        gauge(names.RAFT_TERM, lambda: replica.term)
        gauge(names.RAFT_LEADER, lambda: int(replica.role == LEADER))
        gauge(names.ELECTIONS, lambda: replica.elections_count)
        gauge(names.DISK_FREE, self._opened.disk.free_bytes)
