"""In-memory twins of everything the console looks at."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any

from asgiref.sync import async_to_sync

from console.live.facts import ProcessFacts, Traffic
from console.live.observatory import Picture, SourceSilent
from console.live.reading import Reading, answered, silent
from storage_core.client import NodeStatus, PeerStatus
from telemetry.client import TelemetryUnavailable


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs an async test to its end; what it does synchronously stays on the test's own thread."""

    @wraps(test)
    def run(*args: Any, **fixtures: Any) -> None:
        async_to_sync(test)(*args, **fixtures)

    return run


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def make_node(node: int, **changed: object) -> NodeStatus:
    """A healthy follower of node 0, or node 0 itself leading."""
    others = {n: PeerStatus(match_index=900, lag_entries=3, is_connected=True) for n in range(3)}
    others.pop(node)
    facts: dict[str, object] = {
        "node": node,
        "role": "leader" if node == 0 else "follower",
        "term": 4,
        "leader": 0,
        "commit_index": 1000,
        "applied_index": 1000,
        "last_index": 1000,
        "durable_index": 1000,
        "lease_ms": 300,
        "elections": 1,
        "uptime_s": 61.0,
        "pid": 100 + node,
        "start_time_ticks": 1,
        "boot_id": "b",
        "version": "0.1.0",
        "disk_free_bytes": 5 << 30,
        "log_bytes": 256 << 20,
        "segments_live": 1,
        "segments_ready": 1,
        "flush_p50_ms": 1.2,
        "flush_p99_ms": 4.1,
        "requests_read": 10,
        "requests_write": 20,
        "requests_failed": 0,
        "is_in_front_door": True,
        "peers": others,
    }
    return NodeStatus(**(facts | changed))  # type: ignore[arg-type]


def make_traffic(**last: float | None) -> Traffic:
    """Ten minutes of a steady fleet; `last` sets the newest value of a series."""
    at = now_ms()
    steady = {
        "requests_per_s": 214.0,
        "failed_percent": 0.0,
        "write_p50_ms": 2.0,
        "write_p99_ms": 4.1,
        "read_p50_ms": 0.5,
        "read_p99_ms": 1.5,
    } | last
    times = [at - 5000 * back for back in range(119, -1, -1)]
    return Traffic(
        as_of_ms=at,
        heard_ms={},
        series={
            name: tuple((time_ms, value) for time_ms in times) for name, value in steady.items()
        },
        flush_p99_ms={
            f"node-{n}": tuple((time_ms, 4.0 + n) for time_ms in times) for n in range(3)
        },
    )


class FleetTwin:
    """A healthy fleet; parts named in `down` don't answer."""

    node_count = 3

    def __init__(self, down: set[str] | None = None) -> None:
        self.down = down or set()
        self.looks: list[str] = []
        self.statuses = {n: make_node(n) for n in range(3)}
        self.last: dict[str, float | None] = {}

    def _answer(self, part: str) -> None:
        self.looks.append(part)
        if part in self.down:
            raise SourceSilent("nothing listens")

    def node(self, node: int) -> NodeStatus:
        self._answer(f"node-{node}")
        return self.statuses[node]

    def traffic(self) -> Traffic:
        self._answer("telemetry")
        return make_traffic(**self.last)

    def processes(self) -> tuple[ProcessFacts, ...]:
        self._answer("supervisor")
        return (
            ProcessFacts(name="node-0", state="running", since_ms=1, restarts=0, pid=100),
            ProcessFacts(name="web", state="running", since_ms=1, restarts=2, pid=101),
        )

    def queue_lengths(self) -> Mapping[str, int]:
        self._answer("job queue")
        return {"runs": 0}

    def heartbeat(self, process: str) -> str:
        self._answer(process)
        return "idle"


EVERYTHING = {
    *(f"node-{n}" for n in range(3)),
    *("telemetry", "supervisor", "job queue", "worker", "watcher"),
}


class QueryTwin:
    """The query port in memory; `down` makes it silent."""

    def __init__(self) -> None:
        self.down = False
        self.traces_kept: list[dict[str, object]] = []
        self.spans: dict[str, list[dict[str, object]]] = {}
        self.profiles_kept: list[dict[str, object]] = []

    def _answer(self) -> None:
        if self.down:
            raise TelemetryUnavailable("nothing listens")

    def traces(self, **asked: object) -> list[dict[str, object]]:
        self._answer()
        return self.traces_kept

    def trace(self, trace_id: str) -> dict[str, object] | None:
        self._answer()
        spans = self.spans.get(trace_id)
        return {"trace_id": trace_id, "spans": spans} if spans else None

    def profiles(self, *, limit: int) -> list[dict[str, object]]:
        self._answer()
        return self.profiles_kept[:limit]

    def profile(self, profile_id: str) -> dict[str, object] | None:
        self._answer()
        return next((each for each in self.profiles_kept if each["id"] == profile_id), None)


def picture_of(twin: FleetTwin) -> Picture:
    """One look at a twin, without threads."""
    at = now_ms()

    def look(part: str, ask: object) -> Reading[object]:
        try:
            return answered(part, ask(), at)  # type: ignore[operator]
        except SourceSilent as error:
            return silent(part, None, str(error), at)

    return Picture(
        sequence=1,
        taken_ms=at,
        nodes=tuple(look(f"node-{n}", lambda n=n: twin.node(n)) for n in range(3)),  # type: ignore[misc]
        telemetry=look("telemetry", twin.traffic),  # type: ignore[arg-type]
        supervisor=look("supervisor", twin.processes),  # type: ignore[arg-type]
        broker=look("job queue", twin.queue_lengths),  # type: ignore[arg-type]
        worker=look("worker", lambda: twin.heartbeat("worker")),  # type: ignore[arg-type]
        watcher=look("watcher", lambda: twin.heartbeat("watcher")),  # type: ignore[arg-type]
    )
