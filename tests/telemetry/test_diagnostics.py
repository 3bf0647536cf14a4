"""What triage asks of the telemetry process, from real recorders to answers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from telemetry import bootstrap, names
from telemetry.receiver.rings import COLUMNS, Rings, node_seconds
from telemetry.stage_clock import StageClock
from tests.telemetry.live import TelemetryProcess, eventually
from tests.telemetry.test_rings import NOW_MS, T, add


def test_seconds_are_columns_and_an_unheard_second_is_none_in_each() -> None:
    rings = Rings()
    add(rings, T + 90, "write", 2.0, 80.0, failed=1)
    add(rings, T + 90, "read", 1.0, 30.0)
    add(rings, T + 90, "flush", 7.0)
    rings.heard("node-0", (T + 91) * 1000)

    found = node_seconds(rings, now_ms=NOW_MS, seconds=10, write_ms=50.0, read_ms=20.0)

    columns = found["nodes"]["node-0"]  # type: ignore[index]
    at = T + 90 - int(found["start_s"])  # type: ignore[call-overload]
    assert (columns["reads"][at], columns["writes"][at], columns["failed"][at]) == (2, 2, 1)
    assert (columns["slow_reads"][at], columns["slow_writes"][at]) == (1, 1)
    assert columns["flush_p99_ms"][at] == pytest.approx(7.0, rel=0.03)
    assert (columns["writes"][at + 1], columns["write_p99_ms"][at + 1]) == (0, None)
    assert [columns[name][at + 2] for name in COLUMNS] == [None] * len(COLUMNS)


def test_a_metric_is_told_by_node_and_by_an_attribute(shared_process: TelemetryProcess) -> None:
    telemetry = bootstrap.start(names.SERVICE_STORE, "node-6", shared_process.settings)
    since_ms = time.time_ns() // 1_000_000 - 5_000
    for peer, flush_ns in (("a", 4_000_000), ("b", 90_000_000)):
        telemetry.metrics.histogram(names.FLUSH_DURATION, {"disk": peer}).record(flush_ns)
    telemetry.stop()

    def ask() -> list[list[Any]]:
        found = shared_process.query.many_points(
            [names.FLUSH_DURATION.name, names.UPTIME.name],
            since_ms=since_ms,
            until_ms=since_ms + 60_000,
            step=60,
            by=["nothing", "disk"],
        )
        if not {names.FLUSH_DURATION.name, names.UPTIME.name} <= set(found):
            return []
        return [row for row in found[names.FLUSH_DURATION.name]["rows"] if row[0] == "node-6"]

    rows = eventually(ask, "the metric is stored")

    p99_ms = {row[1]: row[7] for row in rows}
    assert sorted(p99_ms) == ["a", "b"]
    assert p99_ms["b"] == pytest.approx(90.0, rel=0.05)


def test_a_kept_request_comes_with_attributes_and_stages(shared_process: TelemetryProcess) -> None:
    since_ms = time.time_ns() // 1_000_000 - 5_000
    telemetry = bootstrap.start(names.SERVICE_STORE, "node-5", shared_process.settings)
    clock = StageClock(names.PUT_BLOB, start_ns=time.monotonic_ns() - 80_000_000)
    clock.stamp(names.FLUSH)
    telemetry.recorder.finish(clock, status=503, error="ServerBusy", bytes_in=10)
    telemetry.stop()

    def ask() -> list[dict[str, Any]]:
        kept = shared_process.query.requests(since_ms=since_ms, until_ms=since_ms + 60_000)
        return [each for each in kept if each["node"] == "node-5"]

    (request,) = eventually(ask, "the request is stored")

    assert (request["operation"], request["status"], request["reason"]) == (
        "PutBlob",
        "error",
        "failed",
    )
    assert request["attributes"][names.ERROR_CODE] == "ServerBusy"
    ((stage, node, _, duration_ns),) = request["stages"]
    assert (stage, node) == ("flush", "node-5")
    assert duration_ns == pytest.approx(request["duration_ns"], rel=0.01)
