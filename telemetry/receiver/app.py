"""The OTLP/HTTP receiver: check, keep on disk, count for the live pages, answer.

A sender gets 200 once its body lies in the spool, 400 if it can't be read, 503 with Retry-After
if the spool is full; storing happens later and never holds an answer up. A token is needed
unless the sender is on this machine; a wrong one is refused from anywhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import ScopeMetrics

from telemetry import names
from telemetry.receiver import json_form, spool
from telemetry.receiver.decode import Tick, points_of, speaker_of, ticks
from telemetry.receiver.http import Refused, Request, Response
from telemetry.receiver.rings import Rings
from telemetry.receiver.spool import Spool, SpoolFull

BODY_BYTES_MAX: Final = 16 * 1024 * 1024
UNPACKED_BYTES_MAX: Final = 64 * 1024 * 1024
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
FULL_RETRY_S: Final = 5
RECENT_MAX: Final = 1024
"""Bodies remembered, so that one sent again because its answer was lost counts once."""

ROUTES: Final[dict[str, tuple[int, Callable[[], Message]]]] = {
    "/v1/traces": (spool.TRACES, ExportTraceServiceRequest),
    "/v1/metrics": (spool.METRICS, ExportMetricsServiceRequest),
    "/v1/logs": (spool.LOGS, ExportLogsServiceRequest),
}


def check_token(request: Request, token: str, *, loopback_is_enough: bool) -> None:
    """Refuse a request without the right to be here."""
    given = request.headers.get("authorization", "")
    if not given and loopback_is_enough and request.peer_is_loopback:
        return
    if not token or not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise Refused(401, "a bearer token is needed: secrets/otlp.token")


class Heard:
    """What a metrics message says to the rings."""

    __slots__ = ("nodes", "ticks")

    def __init__(self, nodes: Sequence[tuple[str, int]], ticks: Sequence[Tick]) -> None:
        self.nodes = nodes
        self.ticks = ticks


class Receiver:
    """Answers OTLP requests. Bodies are unpacked and spooled on one thread, in order."""

    def __init__(self, *, spool_: Spool, rings: Rings, token: Callable[[], str]) -> None:
        self._spool = spool_
        self._rings = rings
        self._token = token
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="intake")
        self._recent: OrderedDict[bytes, None] = OrderedDict()
        self.taken: dict[str, int] = {path: 0 for path in ROUTES}
        self.refused: dict[str, int] = {}

    async def answer(self, request: Request) -> Response:
        """Serve one request."""
        try:
            return await self._answer(request)
        except Refused as refused:
            key = f"status {refused.status}"
            self.refused[key] = self.refused.get(key, 0) + 1
            raise

    def close(self) -> None:
        """Finish what was begun."""
        self._thread.shutdown(wait=True)

    async def _answer(self, request: Request) -> Response:
        route = ROUTES.get(request.path)
        if route is None:
            raise Refused(404, "POST /v1/traces, /v1/metrics or /v1/logs")
        if request.method != "POST":
            raise Refused(405, "only POST is served here")
        check_token(request, self._token(), loopback_is_enough=True)
        content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if content_type not in (PROTOBUF, JSON):
            # Also keeps web pages out: a browser asks before it sends either type elsewhere.
            raise Refused(415, f"Content-Type is {PROTOBUF} or {JSON}")
        heard = await asyncio.get_running_loop().run_in_executor(
            self._thread, self._take, request, route, content_type
        )
        self.taken[request.path] += 1
        if heard is not None:
            self._count(heard)
        return Response(200, b"{}" if content_type == JSON else b"", content_type)

    def _take(
        self, request: Request, route: tuple[int, Callable[[], Message]], content_type: str
    ) -> Heard | None:
        signal, make = route
        body = unpack(request)
        message = make()
        try:
            if content_type == JSON:
                json_form.parse(body, message)
                body = message.SerializeToString()
            else:
                message.ParseFromString(body)
        except (DecodeError, json_form.MalformedJson) as error:
            raise Refused(400, f"not an OTLP request: {error}") from error
        digest = hashlib.blake2b(body, digest_size=16).digest()
        if digest in self._recent:
            return None
        try:
            self._spool.append(signal, body)
        except SpoolFull as error:
            raise Refused(503, "the spool is full", retry_after_s=FULL_RETRY_S) from error
        self._recent[digest] = None
        if len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)
        if not isinstance(message, ExportMetricsServiceRequest):
            return None
        return heard_of(message)

    def _count(self, heard: Heard) -> None:
        now_ms = time.time_ns() // 1_000_000
        for node, time_ms in heard.nodes:
            if time_ms <= now_ms + 5_000:
                self._rings.heard(node, time_ms)
        for tick in heard.ticks:
            # A sender whose clock runs ahead would take over slots that are still to come.
            if tick.time_ns // 1_000_000 <= now_ms + 5_000:
                self._rings.add(
                    node=tick.node,
                    time_ms=tick.time_ns // 1_000_000,
                    kind=tick.kind,
                    failed=tick.failed,
                    zero_count=tick.zero_count,
                    offset=tick.offset,
                    bucket_counts=tick.bucket_counts,
                )


def heard_of(message: ExportMetricsServiceRequest) -> Heard:
    """Who reported, when, and what of it the rings count."""
    nodes = []
    for group in message.resource_metrics:
        speaker = speaker_of(group.resource)
        if speaker.service == names.SERVICE_STORE:
            last_ns = max((_last_ns(scope) for scope in group.scope_metrics), default=0)
            if last_ns:
                nodes.append((speaker.node, last_ns // 1_000_000))
    return Heard(nodes, ticks(message))


def _last_ns(scope: ScopeMetrics) -> int:
    times = [point.time_ns for metric in scope.metrics for point in points_of(metric)[:1]]
    return max(times, default=0)


def unpack(request: Request) -> bytes:
    """The body without its gzip, which may not grow past a bound."""
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding in ("", "identity"):
        return request.body
    if encoding != "gzip":
        raise Refused(415, "Content-Encoding is gzip or none")
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        body = unpacker.decompress(request.body, UNPACKED_BYTES_MAX)
    except zlib.error as error:
        raise Refused(400, "the body is not gzip") from error
    if unpacker.unconsumed_tail:
        raise Refused(413, f"a body unpacks to at most {UNPACKED_BYTES_MAX} bytes")
    if not unpacker.eof:
        raise Refused(400, "the gzip stream is cut off")
    return body
