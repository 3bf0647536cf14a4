"""A small HTTP/1.1 server for loopback: bounded heads, bodies, connections and time.

Two ports are served with it, the OTLP receiver and the query port. Parsing is httptools'; what is
ours are the limits, which a general server leaves to a proxy that is not there: nothing a sender
does may cost more than one bounded buffer. A connection has one request at a time; a pipelined
one that shares a packet with its forerunner is refused.
Read next: app.py (what OTLP senders get), ../store/port.py (what the console gets).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import parse_qsl, urlsplit

import httptools

HEAD_BYTES_MAX: Final = 32 * 1024
CONNECTIONS_MAX: Final = 512
IDLE_S_MAX: Final = 75.0
REQUEST_S_MAX: Final = 30.0
"""From the first byte of a request to its last."""
BODIES_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of bodies in memory at one time, over all connections of one server."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Request:
    """One complete request. Header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    peer_is_loopback: bool


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(document: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(status, json.dumps(document, separators=(",", ":")).encode())


class Refused(Exception):
    """The request can't be served as it is: `status`, and a sentence that says why."""

    def __init__(self, status: int, message: str, *, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after_s = retry_after_s

    def response(self) -> Response:
        """The refusal as JSON."""
        headers = {"Retry-After": str(self.retry_after_s)} if self.retry_after_s else {}
        body = json.dumps({"error": self.message}).encode()
        return Response(self.status, body, headers=headers)


Answer = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Serves one port with one function."""

    def __init__(self, answer: Answer, *, body_bytes_max: int) -> None:
        self.answer = answer
        self.body_bytes_max = body_bytes_max
        self.bodies_bytes = 0
        self.connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Bind and serve; returns the port, which matters if 0 was asked for."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, backlog=256)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.abort()


class _Connection(asyncio.Protocol):
    """One client. The parser's callbacks fill the request; `_serve` answers it."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._loopback = False
        self._waiting: list[bytes] = []
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._refused: Refused | None = None
        self._started = False

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio's, but are not of its class.
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._loopback = bool(peer) and str(peer[0]) in ("127.0.0.1", "::1")
        if len(self._server.connections) >= CONNECTIONS_MAX:
            self._transport.abort()
            return
        self._server.connections.add(self)
        self._set_timer(IDLE_S_MAX)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._release_body()
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._task is not None:
            # The next request came before the answer to this one: hold it, and stop reading.
            self._waiting.append(data)
            self._transport.pause_reading()
            return
        if not self._started:
            self._started = True
            self._set_timer(REQUEST_S_MAX)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Refused(501, "upgrades are not served here"))
        except httptools.HttpParserError:
            self._fail(self._refused or Refused(400, "not an HTTP/1.1 request"))

    # httptools' callbacks

    def on_message_begin(self) -> None:
        if self._task is not None:
            self._refuse(Refused(400, "pipelined requests are not served here"))

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value))
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        length = self._headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._server.body_bytes_max:
            self._refuse(Refused(413, f"a body has at most {self._server.body_bytes_max} bytes"))
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._server.bodies_bytes += len(body)
        if self._body_bytes > self._server.body_bytes_max:
            self._refuse(Refused(413, f"a body has at most {self._server.body_bytes_max} bytes"))
        if self._server.bodies_bytes > BODIES_BYTES_MAX:
            self._refuse(Refused(503, "too many bodies at once", retry_after_s=1))
        self._body.append(body)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("latin-1")
        target = urlsplit(self._url.decode("latin-1"))
        request = Request(
            method=method,
            path=target.path,
            query=dict(parse_qsl(target.query, max_num_fields=64)),
            headers=self._headers,
            body=b"".join(self._body),
            peer_is_loopback=self._loopback,
        )
        keep = self._parser.should_keep_alive()
        self._set_timer(None)
        self._task = self._loop.create_task(self._serve(request, keep))

    # ours

    def abort(self) -> None:
        """Drop the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(Refused(431, f"a head has at most {HEAD_BYTES_MAX} bytes"))

    def _refuse(self, refused: Refused) -> None:
        self._refused = refused
        raise refused

    def _fail(self, refused: Refused) -> None:
        self._write(refused.response(), keep=False)

    async def _serve(self, request: Request, keep: bool) -> None:
        try:
            response = await self._server.answer(request)
        except Refused as refused:
            response = refused.response()
        except Exception:
            log.exception("request failed", extra={"path": request.path})
            response = json_response({"error": "internal error"}, 500)
        self._release_body()
        self._task = None
        self._write(response, keep=keep)
        if self._transport is not None and keep:
            self._begin()
            self._set_timer(IDLE_S_MAX)
            waiting, self._waiting = self._waiting, []
            self._transport.resume_reading()
            for data in waiting:
                self.data_received(data)

    def _write(self, response: Response, *, keep: bool) -> None:
        if self._transport is None:
            return
        lines = [
            f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
            f"Content-Type: {response.content_type}",
            f"Content-Length: {len(response.body)}",
            *(f"{name}: {value}" for name, value in response.headers.items()),
        ]
        if not keep:
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self._transport.write(head + response.body)
        if not keep:
            self._transport.close()

    def _release_body(self) -> None:
        self._server.bodies_bytes -= self._body_bytes
        self._body_bytes = 0
        self._body.clear()

    def _set_timer(self, after_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if after_s is None else self._loop.call_later(after_s, self.abort)
