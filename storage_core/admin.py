"""A node's own door for its keepers: status, orders, fault switches. Loopback, one token.

`manage.py status`, the console and drills need an answer when everything else is down, so this
needs nothing but the node itself. One request a connection, JSON both ways, everything bounded.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

REQUEST_BYTES_MAX = 16 * 1024
REQUEST_S_MAX = 5.0
LINGER_S_MAX = 0.5
"""After an answer to a request that was not read whole, so that no reset swallows it."""
LENGTH_DIGITS_MAX = 8
REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    409: "Conflict", 503: "Service Unavailable",
}  # fmt: skip
log = logging.getLogger(__name__)

Answer = tuple[int, Mapping[str, Any]]
Route = Callable[[Mapping[str, Any]], Answer | Awaitable[Answer]]


class AdminServer:
    """`routes` maps (method, path) to what answers; bodies are JSON objects."""

    def __init__(self, *, token: str, routes: Mapping[tuple[str, str], Route]) -> None:
        self._expected = f"Bearer {token}".encode()
        self._routes = routes
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError if the port is taken."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=REQUEST_BYTES_MAX)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_S_MAX):
                status, answer = await self._answer(reader)
                body = json.dumps(answer).encode()
                head = (
                    f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + body)
                writer.write_eof()
                await writer.drain()
            async with asyncio.timeout(LINGER_S_MAX):
                await _read_rest(reader)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            log.debug("admin request ended early", extra={"reason": str(error)})
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.LimitOverrunError:
            return 400, {"error": f"request head over {REQUEST_BYTES_MAX} bytes"}
        lines = head.split("\r\n")
        words = lines[0].split(" ")
        headers = dict(line.lower().split(":", 1) for line in lines[1:] if ":" in line)
        if len(words) != 3:
            return 400, {"error": "malformed request line"}
        given = next(
            (
                line.split(":", 1)[1].strip()
                for line in lines
                if line[:14].lower() == "authorization:"
            ),
            "",
        )
        if not hmac.compare_digest(given.encode("latin-1"), self._expected):
            return 401, {"error": "admin token missing or wrong"}
        route = self._routes.get((words[0], words[1].partition("?")[0]))
        if route is None:
            return 404, {"error": f"no {words[0]} {words[1]} here"}
        length = headers.get("content-length", "0").strip()
        is_number = length.isascii() and length.isdigit() and len(length) <= LENGTH_DIGITS_MAX
        if not is_number or int(length) > REQUEST_BYTES_MAX:
            return 400, {"error": f"body must be at most {REQUEST_BYTES_MAX} bytes"}
        try:
            parsed = json.loads(await reader.readexactly(int(length)) or b"{}")
        except (ValueError, RecursionError):
            return 400, {"error": "body is not JSON"}
        if not isinstance(parsed, dict):
            return 400, {"error": "body is not a JSON object"}
        answer = route(parsed)
        return answer if isinstance(answer, tuple) else await answer


async def _read_rest(reader: asyncio.StreamReader) -> None:
    """What the client still sends, up to a bound, until it closes."""
    for _ in range(16):
        if not await reader.read(REQUEST_BYTES_MAX):
            return
