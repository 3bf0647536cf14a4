import gzip
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from telemetry import bootstrap, names
from telemetry.client import QueryClient, TelemetryUnavailable
from telemetry.config import Settings
from telemetry.receiver.app import BODY_BYTES_MAX
from telemetry.stage_clock import StageClock
from tests.telemetry.live import PROTOBUF, TelemetryProcess, eventually, make_span, make_traces


def stored(process: TelemetryProcess, trace_id: bytes) -> dict[str, Any]:
    return eventually(lambda: process.query.trace(trace_id.hex()), "the trace is stored")


def test_a_protobuf_span_comes_out_as_it_went_in(shared_process: TelemetryProcess) -> None:
    root = make_span()
    child = make_span(trace_id=root.trace_id, parent_span_id=root.span_id, name="flush", kind=1)
    child.links.add(trace_id=os.urandom(16), span_id=os.urandom(8))
    child.events.add(name="stalled", time_unix_nano=child.start_time_unix_nano + 1)
    child.status.code = Status.STATUS_CODE_ERROR
    child.status.message = "disk"

    status, _ = shared_process.post("/v1/traces", make_traces(root, child))

    assert status == 200
    found = {span["name"]: span for span in stored(shared_process, root.trace_id)["spans"]}
    assert found["PutBlob"]["start_ns"] == root.start_time_unix_nano
    assert found["PutBlob"]["duration_ns"] == 5_000_000
    assert found["PutBlob"]["attributes"] == {"tenant": "blue"}
    assert (found["PutBlob"]["service"], found["PutBlob"]["node"]) == ("shop", "shop-1")
    assert found["PutBlob"]["parent_span_id"] == ""
    assert found["flush"]["parent_span_id"] == root.span_id.hex()
    assert found["flush"]["status"] == "error"
    assert found["flush"]["attributes"]["status.message"] == "disk"
    assert found["flush"]["links"][0]["span_id"] == child.links[0].span_id.hex()
    assert found["flush"]["events"][0]["name"] == "stalled"


def test_json_means_the_same_as_protobuf(shared_process: TelemetryProcess) -> None:
    trace_id, span_id, now_ns = os.urandom(16).hex(), os.urandom(8).hex(), time.time_ns()
    span = {
        "traceId": trace_id,
        "spanId": span_id,
        "name": "checkout",
        "kind": 2,
        "startTimeUnixNano": str(now_ns),
        "endTimeUnixNano": str(now_ns + 1_500),
        "attributes": [{"key": "items", "value": {"intValue": "3"}}],
        "fieldOfTheFuture": True,
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    document = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}

    status, body = shared_process.post(
        "/v1/traces", json.dumps(document).encode(), "application/json"
    )

    assert (status, body) == (200, b"{}")
    (found,) = stored(shared_process, bytes.fromhex(trace_id))["spans"]
    assert (found["span_id"], found["duration_ns"]) == (span_id, 1_500)
    assert found["attributes"] == {"items": "3"}


def test_gzip_is_unpacked(shared_process: TelemetryProcess) -> None:
    span = make_span()

    status, _ = shared_process.post(
        "/v1/traces", gzip.compress(make_traces(span)), Content_Encoding="gzip"
    )

    assert status == 200
    assert stored(shared_process, span.trace_id)


@pytest.mark.parametrize(
    ("path", "body", "content_type", "headers", "status"),
    [
        ("/v1/traces", b"\xff\xff", PROTOBUF, {}, 400),
        ("/v1/traces", b"{", "application/json", {}, 400),
        ("/v1/traces", b"[]", "application/json", {}, 400),
        ("/v1/traces", b'{"resourceSpans": 3}', "application/json", {}, 400),
        ("/v1/traces", b"[" * 5_000 + b"]" * 5_000, "application/json", {}, 400),
        ("/v1/traces", b"", "text/plain", {}, 415),
        ("/v1/traces", b"", PROTOBUF, {"Content_Encoding": "br"}, 415),
        ("/v1/traces", b"nonsense", PROTOBUF, {"Content_Encoding": "gzip"}, 400),
        ("/v1/traces", gzip.compress(bytes(99))[:-9], PROTOBUF, {"Content_Encoding": "gzip"}, 400),
        ("/v1/traces", gzip.compress(bytes(65 << 20)), PROTOBUF, {"Content_Encoding": "gzip"}, 413),
        ("/v1/traces", b"", PROTOBUF, {"Authorization": "Bearer wrong"}, 401),
        ("/v1/elsewhere", b"", PROTOBUF, {}, 404),
        ("/v1/traces", b"", PROTOBUF, {}, 200),
    ],
)
def test_what_cannot_be_taken_is_refused_by_the_right_status(
    shared_process: TelemetryProcess,
    path: str,
    body: bytes,
    content_type: str,
    headers: dict[str, str],
    status: int,
) -> None:
    answered, text = shared_process.post(path, body, content_type, **headers)

    assert answered == status
    if status != 200:
        assert json.loads(text)["error"]


def test_a_body_beyond_the_bound_is_refused_before_it_is_read(
    shared_process: TelemetryProcess,
) -> None:
    address = ("127.0.0.1", shared_process.settings.otlp_port)
    with socket.create_connection(address, timeout=10) as connection:
        head = f"POST /v1/traces HTTP/1.1\r\nContent-Length: {BODY_BYTES_MAX + 1}\r\n\r\n"
        connection.sendall(head.encode())

        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("sent", [b"\x16\x03\x01 not http\r\n\r\n", b"GET / " + b"a" * 40_000])
def test_what_is_not_http_is_answered_and_dropped(
    shared_process: TelemetryProcess, sent: bytes
) -> None:
    address = ("127.0.0.1", shared_process.settings.otlp_port)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(sent)

        assert connection.recv(100).startswith(b"HTTP/1.1 4")


def test_spans_out_of_time_are_left_out_and_counted(shared_process: TelemetryProcess) -> None:
    old = make_span(start_time_unix_nano=1, end_time_unix_nano=2)
    ahead = make_span(start_time_unix_nano=time.time_ns() + 3_600_000_000_000)
    good, bad = make_span(), make_span(trace_id=b"short")

    shared_process.post("/v1/traces", make_traces(old, ahead, bad, good))

    assert stored(shared_process, good.trace_id)
    dropped = shared_process.query.health()["dropped"]
    assert dropped["spans: time out of range"] == 2
    assert dropped["spans: malformed id"] == 1


def test_traces_are_found_by_what_they_are(shared_process: TelemetryProcess) -> None:
    service = f"service-{os.urandom(4).hex()}"
    quick, slow = make_span(), make_span()
    slow.end_time_unix_nano = slow.start_time_unix_nano + 90_000_000
    slow.status.code = Status.STATUS_CODE_ERROR
    other = make_span(name="GetBlob")
    child = make_span(trace_id=slow.trace_id, parent_span_id=slow.span_id, kind=1, name="flush")
    shared_process.post("/v1/traces", make_traces(quick, slow, other, child, service=service))
    stored(shared_process, slow.trace_id)

    def ids(**wanted: Any) -> set[str]:
        return {row["trace_id"] for row in shared_process.query.traces(service=service, **wanted)}

    everything = {span.trace_id.hex() for span in (quick, slow, other)}
    assert ids() == everything
    assert ids(min_ms=50) == {slow.trace_id.hex()}
    assert ids(error=True) == {slow.trace_id.hex()}
    assert ids(operation="GetBlob") == {other.trace_id.hex()}
    assert ids(until_ms=1) == set()
    assert len(ids(limit=2)) == 2
    (row,) = shared_process.query.traces(service=service, error=True)
    assert row["span_count"] == 2
    assert row["duration_ms"] == pytest.approx(90)
    assert (row["root_name"], row["service"], row["node"]) == ("PutBlob", service, "shop-1")


def test_quotes_in_a_question_are_only_text(shared_process: TelemetryProcess) -> None:
    assert shared_process.query.traces(service="' OR 1=1 --") == []
    assert shared_process.query.logs(text="'; DROP TABLE logs; --") == []


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/now?step=0", 400),
        ("/v1/now?seconds=ten", 400),
        ("/v1/now?seconds=2000&step=1", 400),
        ("/v1/nodes/series?measure=mood", 400),
        ("/v1/traces?limit=100000", 400),
        ("/v1/traces?min_ms=nan", 400),
        ("/v1/logs?trace_id=xyz", 400),
        ("/v1/metrics", 400),
        ("/v1/traces/0123", 404),
        ("/v1/traces/" + "0" * 32, 404),
        ("/v1/profiles/none", 404),
        ("/nothing", 404),
    ],
)
def test_a_bad_question_is_refused_and_says_why(
    shared_process: TelemetryProcess, target: str, status: int
) -> None:
    answered, body = shared_process.ask(target)

    assert answered == status
    assert json.loads(body)["error"]


def test_what_a_node_records_is_on_the_first_page_within_seconds(
    own_process: TelemetryProcess,
) -> None:
    telemetry = bootstrap.start(names.SERVICE_STORE, "node-7", own_process.settings)
    flushes = telemetry.metrics.histogram(names.FLUSH_DURATION)
    clock = StageClock(names.PUT_BLOB, start_ns=time.monotonic_ns() - 80_000_000)
    clock.stamp(names.FLUSH)
    flushes.record(7_000_000)
    trace_id = telemetry.recorder.finish(clock, status=503, error="ServerBusy", bytes_in=10)
    telemetry.stop()

    totals = eventually(
        lambda: own_process.query.now(seconds=60, step=1)["totals"], "the rings counted it"
    )
    (row,) = eventually(
        lambda: own_process.query.traces(node="node-7"), "the failed write is a trace"
    )
    curve = eventually(
        lambda: [
            value
            for _, value in own_process.query.node_series(seconds=60, step=1)["node-7"]
            if value
        ],
        "its second is complete",
    )
    stages = eventually(lambda: own_process.query.stages()["operations"], "its stages are stored")

    assert (totals["writes"], totals["failed"], totals["failed_percent"]) == (1, 1, 100.0)
    assert totals["write_p99_ms"] == pytest.approx(80, rel=0.2)
    assert row["trace_id"] == f"{trace_id:032x}"
    assert (row["status"], row["error"], row["span_count"]) == ("error", "ServerBusy", 2)
    assert curve == [pytest.approx(7, rel=0.05)]
    assert stages["PutBlob"]["count"] == stages["PutBlob"]["stages"]["flush"]["count"] == 1
    counts = own_process.query.objectives(seconds=60, step=1, write_ms=50, read_ms=20)
    assert sum(each["writes_slow"] for each in counts["counts"]) == 1
    assert "node-7" in counts["sources"]
    assert own_process.query.metric(names.UPTIME.name)["series"]["node-7"][0][1] > 0


def test_the_first_page_knows_what_was_before_a_kill(own_process: TelemetryProcess) -> None:
    telemetry = bootstrap.start(names.SERVICE_STORE, "node-7", own_process.settings)
    for status in (200, 503):
        clock = StageClock(names.PUT_BLOB, start_ns=time.monotonic_ns() - 80_000_000)
        telemetry.recorder.finish(clock, status=status, error="", bytes_in=10)
    telemetry.metrics.histogram(names.FLUSH_DURATION).record(7_000_000)
    telemetry.stop()
    eventually(lambda: own_process.query.now(seconds=60, step=1)["totals"], "the rings counted it")
    before = own_process.query.now(seconds=120, step=1)

    own_process.kill()
    own_process.start()

    after = eventually(
        lambda: (found := own_process.query.now(seconds=120, step=1))["totals"] and found,
        "the rings are filled from the store",
    )
    figures = ("writes", "failed", "write_p50_ms", "write_p99_ms")
    assert before["totals"]["writes"] == 2
    assert [after["totals"][each] for each in figures] == [
        before["totals"][each] for each in figures
    ]
    curve = own_process.query.node_series(seconds=120, step=1)["node-7"]
    assert [value for _, value in curve if value] == [pytest.approx(7, rel=0.05)]
    assert "node-7" in after["sources"]


def test_log_lines_are_found_by_trace_and_text(shared_process: TelemetryProcess) -> None:
    trace_id, now_ns = os.urandom(16).hex(), time.time_ns()
    record = {
        "timeUnixNano": str(now_ns),
        "severityNumber": 13,
        "severityText": "warning",
        "body": {"stringValue": "disk is slow"},
        "attributes": [{"key": "flush_ms", "value": {"doubleValue": 81.5}}],
        "traceId": trace_id,
    }
    document = {"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": [record]}]}]}

    shared_process.post("/v1/logs", json.dumps(document).encode(), "application/json")

    (line,) = eventually(lambda: shared_process.query.logs(trace_id=trace_id), "it is stored")
    assert (line["message"], line["level"], line["severity"]) == ("disk is slow", "warning", 13)
    assert (line["time_ns"], line["fields"]) == (now_ns, {"flush_ms": "81.5"})
    assert shared_process.query.logs(trace_id=trace_id, text="SLOW")
    assert shared_process.query.logs(trace_id=trace_id, severity_min=17) == []


def test_a_profile_is_stored_once_and_given_back(shared_process: TelemetryProcess) -> None:
    profile = {
        "id": "run-1.0",
        "target": "node-1",
        "started_ms": time.time_ns() // 1_000_000,
        "seconds": 10,
        "rate_hz": 100,
        "samples": 3,
        "pause_percent": 0.25,
        "collapsed": "main;work 3\n",
        "run_id": 12,
    }

    ids = [shared_process.query.store_profile(profile) for _ in range(2)]

    assert ids == ["run-1.0", "run-1.0"]
    assert shared_process.query.profile("run-1.0") == profile
    (row,) = shared_process.query.profiles(target="node-1")
    assert row == {name: value for name, value in profile.items() if name != "collapsed"}
    with pytest.raises(TelemetryUnavailable, match="pause_percent"):
        shared_process.query.store_profile({**profile, "pause_percent": "little"})


def test_a_token_that_exists_is_asked_for(own_process: TelemetryProcess) -> None:
    secrets = own_process.settings.secrets
    secrets.mkdir()
    (secrets / "otlp.token").write_text("right\n")

    assert own_process.ask("/v1/now")[0] == 401
    assert own_process.ask("/v1/now", token="wrong")[0] == 401
    assert own_process.ask("/v1/now", token="right")[0] == 200
    assert own_process.ask("/healthz")[0] == 200
    assert own_process.query.now()["totals"] == {}
    assert own_process.post("/v1/traces", b"")[0] == 200
    assert own_process.post("/v1/traces", b"", Authorization="Bearer right")[0] == 200


def test_nothing_that_was_answered_is_lost_or_doubled_by_kills(
    own_process: TelemetryProcess,
) -> None:
    acknowledged: list[str] = []
    for life in range(3):
        for _ in range(20):
            span = make_span(name=f"life-{life}")
            assert own_process.post("/v1/traces", make_traces(span, service="killed"))[0] == 200
            acknowledged.append(span.trace_id.hex())
        if life == 1:
            # Kill while files are being stored, and not only before.
            own_process.wait_open()
            eventually(lambda: own_process.query.health()["rows"]["spans"], "storing has begun")
        own_process.kill()
        own_process.start()

    own_process.wait_open()
    eventually(lambda: own_process.query.health()["spool_bytes"] == 0, "the spool is stored")

    rows = own_process.query.traces(service="killed", limit=500)
    assert sorted(row["trace_id"] for row in rows) == sorted(acknowledged)
    assert {row["span_count"] for row in rows} == {1}


def test_a_body_sent_again_because_its_answer_was_lost_counts_once(
    shared_process: TelemetryProcess,
) -> None:
    span = make_span()
    body = make_traces(span)

    answers = [shared_process.post("/v1/traces", body)[0] for _ in range(2)]

    assert answers == [200, 200]
    assert len(stored(shared_process, span.trace_id)["spans"]) == 1


def test_a_damaged_spool_file_is_set_aside_and_the_next_one_stored(
    tmp_path: Path, own_process: TelemetryProcess
) -> None:
    own_process.wait_open()
    assert own_process.stop() == 0
    spool = tmp_path / "telemetry" / "spool"
    (spool / f"{1:016x}.spool").write_bytes(b"neither record nor tail, but longer than a header")

    own_process.start()
    span = make_span()
    own_process.post("/v1/traces", make_traces(span))

    own_process.wait_open()
    assert stored(own_process, span.trace_id)
    assert own_process.query.health()["dropped"]["damaged_file"] == 1
    assert [path.name for path in spool.glob("*.damaged")] == [f"{1:016x}.damaged"]


def test_a_client_without_a_process_says_so(settings: Settings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        client = QueryClient(settings.with_ports(otlp_port=port, query_port=port), timeout_s=1)

        with pytest.raises(TelemetryUnavailable) as failed:
            client.now()

    assert failed.value.status == 0
