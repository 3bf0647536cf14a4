"""The facts the console shows, decoded once from what telemetry and the supervisor answer.

A node's own account is `storage_core.client.NodeStatus`, which is decoded there. Behind this module
there are no dictionaries of unknown shape: a field that a part did not send is
None here, and None is shown as "not told", never as zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Point = tuple[int, float | None]  # (Unix ms, value or None where there was no data)
Series = tuple[Point, ...]
FLUSH = "flush_p99_ms"
"""What is asked of the query port by node; a chart's line of it is FLUSH:node-1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Rates and latencies from telemetry. `series` by the names of the query port."""

    as_of_ms: int
    heard_ms: Mapping[str, int]  # source -> when telemetry last heard of it
    series: Mapping[str, Series]
    flush_p99_ms: Mapping[str, Series]  # node name -> series

    def last(self, name: str, *, within_ms: int = 30_000) -> float | None:
        """The newest value of a series, if it is young enough to speak of now."""
        return newest(self.series.get(name, ()), self.as_of_ms - within_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """One entry of the supervisor's registry."""

    name: str
    state: str
    since_ms: int | None
    restarts: int
    pid: int | None


def newest(series: Series, not_before_ms: int) -> float | None:
    for time_ms, value in reversed(series):
        if time_ms < not_before_ms:
            return None
        if value is not None:
            return value
    return None


def decode_series(raw: Any) -> Series:
    return tuple((int(t), None if v is None else float(v)) for t, v in raw or ())


def decode_traffic(now: Mapping[str, Any], flush: Mapping[str, Any]) -> Traffic:
    return Traffic(
        as_of_ms=int(now["as_of_ms"]),
        heard_ms={
            str(name): int(source["last_ms"])
            for name, source in now.get("sources", {}).items()
            if source.get("last_ms") is not None
        },
        series={str(k): decode_series(v) for k, v in now.get("series", {}).items()},
        flush_p99_ms={str(k): decode_series(v) for k, v in flush.items()},
    )


def decode_processes(raw: Mapping[str, Any]) -> tuple[ProcessFacts, ...]:
    return tuple(
        ProcessFacts(
            name=str(name),
            state=str(entry.get("state", "unknown")),
            since_ms=entry.get("since_ms"),
            restarts=int(entry.get("restarts") or 0),
            pid=entry.get("pid"),
        )
        for name, entry in sorted(raw.items())
        if isinstance(entry, Mapping)
    )
