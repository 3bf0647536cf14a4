import http.server
import json
import logging
import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from telemetry import logs, names
from telemetry.config import Settings
from telemetry.logs import LogLine
from telemetry.otlp import sender as sender_module
from telemetry.otlp.sender import TRACES, Parcel, Sender
from telemetry.otlp.spans import SpanMaker, resource_of
from telemetry.tracing import KeptRecord, Recorder, StageClock
from tests.telemetry.live import eventually
from tests.telemetry.test_recorder import Kept, Stage

MS = 1_000_000


@pytest.fixture
def record(settings: Settings) -> KeptRecord:
    """A failed write on node-0, its leader, with two followers of which one is late."""
    kept = Kept()
    clock = StageClock(names.PUT_BLOB, start_ns=1_000 * MS)
    for at, stage in enumerate((names.RECEIVE, names.APPEND, names.FLUSH, names.QUORUM), start=1):
        clock.stamp_all((stage, (1_000 + at) * MS))
    clock.follow("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
    clock.set(names.LOG_INDEX, 7)
    Recorder("storage", "node-0", settings, sink=kept, draw=lambda: 1.0).finish(
        clock, status=503, bytes_in=4096, error="ServerBusy"
    )
    remote = (
        Stage(0, names.FLUSH, 1_002 * MS, 1_003 * MS, 42),
        Stage(1, names.PEER_FLUSH, 1_002 * MS, 1_004 * MS, 42),
        Stage(2, names.PEER_FLUSH, 1_002 * MS, 1_090 * MS, 42),
        Stage(2, names.PEER_CHECK, 0, 0, 42),
    )
    return kept[0]._replace(remote=remote)


def made(record: KeptRecord) -> tuple[Any, list[Any]]:
    """The request's own span, and its children. Any: the SDK types every field as optional."""
    maker = SpanMaker("storage", "node-0", resource_of("storage", "node-0"))
    root, *children = maker.spans_of(record)
    return root, list(children)


def test_a_record_becomes_one_trace_that_shows_every_disk(record: KeptRecord) -> None:
    root, children = made(record)

    assert root.name == "PutBlob"
    assert f"{root.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert root.attributes[names.REASON] == "failed"
    assert root.attributes[names.LOG_INDEX] == 7
    shown = {(span.name, span.attributes[names.NODE]) for span in children}
    assert shown == {
        ("receive", "node-0"),
        ("append", "node-0"),
        ("flush", "node-0"),
        ("quorum", "node-0"),
        ("peer_flush", "node-1"),
        ("peer_flush", "node-2"),
    }
    assert {span.resource.attributes[names.INSTANCE] for span in children} == {
        "node-0",
        "node-1",
        "node-2",
    }
    assert all(span.parent == root.context for span in children)


def test_spans_have_the_times_that_were_measured_and_batches_their_id(record: KeptRecord) -> None:
    root, children = made(record)

    by_name = {(span.name, span.attributes[names.NODE]): span for span in children}
    own = [span for span in children if span.attributes[names.NODE] == "node-0"]
    assert sum(span.end_time - span.start_time for span in own) == root.end_time - root.start_time
    assert root.end_time - root.start_time == 4 * MS
    late = by_name["peer_flush", "node-2"]
    assert late.end_time - root.start_time == 90 * MS
    assert late.attributes[names.BATCH_ID] == 42
    assert by_name["flush", "node-0"].attributes[names.BATCH_ID] == 42
    assert names.BATCH_ID not in by_name["receive", "node-0"].attributes


def test_the_sdk_encodes_them(record: KeptRecord) -> None:
    root, children = made(record)

    request = encode_spans([root, *children])

    assert len(request.resource_spans) == 3


def test_without_a_receiver_the_oldest_signals_are_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sender_module, "QUEUE_BYTES_MAX", 250)
    dropped: dict[str, int] = {}

    def count(what: str, items: int) -> None:
        dropped[what] = dropped.get(what, 0) + items

    sender = Sender(port=1, token=str, count_drop=count)
    for _ in range(5):
        sender.offer(Parcel(TRACES, bytes(100), "span", 7))

    assert sender.queued_bytes == 200
    assert dropped == {"span": 21}

    sender.start()
    sender.stop(timeout_s=0.2)

    assert dropped == {"span": 35}


class Fickle(http.server.BaseHTTPRequestHandler):
    """Answers what it is told to, in order."""

    answers: list[int]
    seen: list[tuple[bytes, str | None]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((body, self.headers["Authorization"]))
        self.send_response(self.answers.pop(0) if self.answers else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_busy_receiver_is_asked_again_and_a_refusal_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sender_module, "BACKOFF_S_MIN", 0.01)
    Fickle.answers, Fickle.seen = [503, 200, 400], []
    dropped: list[tuple[str, int]] = []
    with http.server.HTTPServer(("127.0.0.1", 0), Fickle) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        sender = Sender(
            port=server.server_port,
            token=lambda: "secret",
            count_drop=lambda what, items: dropped.append((what, items)),
        )
        sender.start()
        for body in (b"one", b"two", b"three"):
            sender.offer(Parcel(TRACES, body, "span", 2))
        eventually(lambda: len(Fickle.seen) == 4, "all were posted")
        sender.stop(timeout_s=1)
        server.shutdown()
        serving.join()

    assert [body for body, _ in Fickle.seen] == [b"one", b"one", b"two", b"three"]
    assert {token for _, token in Fickle.seen} == {"Bearer secret"}
    assert dropped == [("span", 2)]


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = before
    root.setLevel(level)


def test_a_log_line_is_one_json_object_with_its_trace(root_logger: logging.Logger) -> None:
    stream = StringIO()
    shipped: list[LogLine] = []
    logs.configure("storage", "node-1", stream=stream, ship=shipped.append, trace_id=lambda: "")

    logging.getLogger("store").warning("disk is slow", extra={"flush_ms": 81, "trace_id": "ab"})

    line = json.loads(stream.getvalue())
    assert line["message"] == "disk is slow"
    assert (line["level"], line["service"], line["node"]) == ("warning", "storage", "node-1")
    assert (line["flush_ms"], line["trace_id"], line["logger"]) == (81, "ab", "store")
    assert line["time"].endswith("Z")
    assert (shipped[0].severity, shipped[0].fields) == (13, {"flush_ms": 81})


def test_a_field_never_overwrites_what_every_line_has(root_logger: logging.Logger) -> None:
    stream = StringIO()
    logs.configure("storage", "node-1", stream=stream)

    logging.getLogger("store").error("refused", extra={"service": "mine", "note": "x" * 9_999})

    line = json.loads(stream.getvalue())
    assert line["service"] == "storage"
    assert len(line["note"]) == logs.FIELD_CHARS_MAX


def test_an_exception_stands_in_its_line(root_logger: logging.Logger) -> None:
    stream = StringIO()
    logs.configure("storage", "node-1", stream=stream)

    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("store").exception("request failed")

    assert "ValueError: broken" in json.loads(stream.getvalue())["exception"]
