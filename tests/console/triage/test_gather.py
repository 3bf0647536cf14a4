"""Evidence from a real telemetry process, and its price."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.triage import gather, limits
from console.triage.diagnose import diagnose
from console.triage.evidence import Evidence, Seconds
from console.triage.evidence_json import decode, encode
from console.triage.gather import decode_request
from telemetry import bootstrap, names
from telemetry.client import TelemetryUnavailable
from telemetry.stage_clock import StageClock
from tests.console.triage.scenes import START_S, STEADY, make_evidence, scatter
from tests.telemetry.live import TelemetryProcess, eventually

CPU_S_MAX = 2.0
"""What the search may cost; the test allows itself a third of it."""


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[TelemetryProcess]:
    process = TelemetryProcess(tmp_path)
    process.wait_open()
    yield process
    process.kill()


def test_what_nodes_report_becomes_evidence_and_what_is_away_is_named(
    telemetry: TelemetryProcess,
) -> None:
    node = bootstrap.start(names.SERVICE_STORE, "node-7", telemetry.settings)
    clock = StageClock(names.PUT_BLOB, start_ns=time.monotonic_ns() - 80_000_000)
    clock.stamp(names.FLUSH)
    node.metrics.histogram(names.FLUSH_DURATION).record(7_000_000)
    node.metrics.histogram(names.LOOP_DELAY).record(3_000_000)
    node.recorder.finish(clock, status=503, error="ServerBusy", bytes_in=10)
    node.stop()
    burn_ms = time.time_ns() // 1_000_000

    def look() -> Evidence | None:
        found = gather.gather(
            now_ms=time.time_ns() // 1_000_000 + 3_000,
            burn_ms=burn_ms,
            changes=lambda *_: (),
            fleet=telemetry.settings,
        )
        return found if found.requests_now and found.curves and found.seconds.nodes else None

    evidence = eventually(look, "everything arrived")

    (request,) = evidence.requests_now
    assert request.parts["flush", "node-7"] == pytest.approx(80, rel=0.1)
    assert evidence.curve(names.LOOP_DELAY.name, "node-7") is not None
    assert sum(v or 0 for v in evidence.seconds.nodes["node-7"]["writes"]) == 1
    assert {each.source for each in evidence.missing} == {
        "supervisor",
        "node-0",
        "node-1",
        "node-2",
    }
    assert encode(decode(encode(evidence))) == encode(evidence)


def test_a_dead_telemetry_is_one_missing_source(telemetry: TelemetryProcess) -> None:
    telemetry.kill()

    evidence = gather.gather(
        now_ms=time.time_ns() // 1_000_000,
        burn_ms=None,
        changes=lambda *_: (),
        fleet=telemetry.settings,
    )

    assert "telemetry" in {each.source for each in evidence.missing}
    assert diagnose(evidence).is_abstained
    with pytest.raises(TelemetryUnavailable):
        telemetry.query.node_seconds(seconds=10, write_ms=50, read_ms=20)


def raw_request(at: int) -> dict[str, object]:
    start_ns = (START_S + at) * 1_000_000_000
    ms = 1_000_000
    spans = [
        ("receive", "node-0", 0, 1),
        ("forward", "node-0", 1, 30),
        ("respond", "node-0", 31, 1),
    ]
    spans += [("queue", "node-1", 2, 2), ("append", "node-1", 4, 1), ("flush", "node-1", 5, 10)]
    spans += [("quorum", "node-1", 15, 14)]
    for peer in ("node-0", "node-2"):
        spans += [
            (stage, peer, 5 + 3 * n, 3)
            for n, stage in enumerate(("peer_receive", "peer_check", "peer_append", "peer_flush"))
        ]
    return {
        "trace_id": f"{at:032x}",
        "operation": "PutBlob",
        "node": "node-0",
        "start_ns": start_ns,
        "duration_ns": 32 * ms,
        "status": "ok",
        "reason": "random" if at % 3 else "slow",
        "attributes": {names.KIND: names.KIND_WRITE, names.BYTES_IN: "8192"},
        "stages": [(s, n, start_ns + b * ms, length * ms) for s, n, b, length in spans],
    }


def test_a_quarter_of_an_hour_costs_well_under_two_seconds_of_processor_time() -> None:
    total_s = limits.WINDOW_S
    nodes = {
        f"node-{n}": {
            name: tuple(value * scatter(at + n) for at in range(total_s))
            for name, value in STEADY.items()
        }
        for n in range(3)
    }
    raw = [raw_request(at) for at in range(4 * limits.REQUESTS_MAX)]

    started_s = time.process_time()
    requests = tuple(decode_request(each) for each in raw)
    evidence = make_evidence(
        seconds=Seconds(start_s=START_S, nodes=nodes),
        requests_normal=requests[: 2 * limits.REQUESTS_MAX],
        requests_now=requests[2 * limits.REQUESTS_MAX :],
    )
    diagnose(evidence)
    spent_s = time.process_time() - started_s

    assert spent_s < CPU_S_MAX / 3
