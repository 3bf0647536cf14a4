"""A real telemetry process over a home that is thrown away."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from telemetry.client import QueryClient
from telemetry.config import Settings

ROOT = Path(__file__).parents[2]
WAIT_S_MAX = 20.0
PROTOBUF = "application/x-protobuf"
SERVE = "-W error -m telemetry.serve --any-port --ports-file".split()

Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], what: str) -> Found:
    """The first answer that is not None (or false), within the time a slow machine needs."""
    deadline_s = time.monotonic() + WAIT_S_MAX
    pause = threading.Event()
    while time.monotonic() < deadline_s:
        found = look()
        if found:
            return found
        pause.wait(0.05)
    raise AssertionError(f"not within {WAIT_S_MAX} s: {what}")


class TelemetryProcess:
    """`python -m telemetry.serve` on ports that the system chose."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.process: subprocess.Popen[bytes]
        self.settings: Settings
        self.query: QueryClient
        self.start()

    def start(self) -> None:
        ports_file = self.home / "ports.json"
        ports_file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, *SERVE, str(ports_file)],
            env={**os.environ, "HOLDFAST_HOME": str(self.home)},
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        eventually(ports_file.exists, "the ports are known")
        ports = json.loads(ports_file.read_text())
        self.settings = Settings.from_environment({"HOLDFAST_HOME": str(self.home)}).with_ports(
            otlp_port=ports["otlp"], query_port=ports["query"]
        )
        self.query = QueryClient(self.settings)

    def wait_open(self) -> None:
        eventually(lambda: self.query.health()["ok"], "the store is open")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(WAIT_S_MAX)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S_MAX)

    def post(
        self, path: str, body: bytes, content_type: str = PROTOBUF, **headers: str
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.otlp_port, timeout=10)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("POST", path, body, {"Content-Type": content_type, **given})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ask(self, target: str, token: str = "") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.query_port, timeout=10)
        try:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request("GET", target, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def make_span(**fields: object) -> Span:
    """A span that happened just now."""
    now_ns = time.time_ns()
    span = Span(
        trace_id=os.urandom(16),
        span_id=os.urandom(8),
        name="PutBlob",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=now_ns - 5_000_000,
        end_time_unix_nano=now_ns,
        attributes=[KeyValue(key="tenant", value=AnyValue(string_value="blue"))],
    )
    for name, value in fields.items():
        setattr(span, name, value)
    return span


def make_traces(*spans: Span, service: str = "shop", node: str = "shop-1") -> bytes:
    """An OTLP request with these spans."""
    attributes = [
        KeyValue(key="service.name", value=AnyValue(string_value=service)),
        KeyValue(key="service.instance.id", value=AnyValue(string_value=node)),
    ]
    group = ResourceSpans(
        resource=Resource(attributes=attributes), scope_spans=[ScopeSpans(spans=spans)]
    )
    body: bytes = ExportTraceServiceRequest(resource_spans=[group]).SerializeToString()
    return body
