"""When is a part ready? Ask it, in the way that its users will.

A process that exists proves nothing. Each probe does once what others will do all day: an HTTP
request, a PING, a beat received. It answers yes or no within its time limit and never raises.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from storage_core.config import HOST

PROBE_TIMEOUT_S: Final = 1.0
ANSWER_BYTES_MAX: Final = 65_536


class PartFacts(NamedTuple):
    """What the supervisor itself saw of a part so far."""

    pid: int
    said_ready: bool


class Probe(Protocol):
    """One way of asking; `waits_for` completes "waiting for ..."."""

    @property
    def waits_for(self) -> str: ...

    async def is_ready(self, facts: PartFacts) -> bool: ...


class SaysReady(NamedTuple):
    """The part sends beats, and says in them that it can serve."""

    waits_for: str = "its beat to say that it serves"

    async def is_ready(self, facts: PartFacts) -> bool:
        return facts.said_ready


class Succeeds(NamedTuple):
    """A command that does its work once; the supervisor sees its exit code."""

    waits_for: str

    async def is_ready(self, facts: PartFacts) -> bool:
        return False


class WritesBeat(NamedTuple):
    """The part has no door to knock on, but this very process writes a file, with a note in it."""

    path: Path
    note: str = ""

    @property
    def waits_for(self) -> str:
        return f"it to write {self.path.name}"

    async def is_ready(self, facts: PartFacts) -> bool:
        try:
            beat = json.loads(self.path.read_text(encoding="utf-8"))
            return beat["pid"] == facts.pid and self.note in ("", beat["note"])
        except (OSError, ValueError, KeyError, TypeError):
            return False


class HttpAnswers(NamedTuple):
    """A request gets an answer that isn't a server error."""

    port: int
    path: str = "/healthz"

    @property
    def waits_for(self) -> str:
        return f"an answer on port {self.port}"

    async def is_ready(self, facts: PartFacts) -> bool:
        request = f"GET {self.path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        answer = await _ask_port(self.port, request.encode("ascii"))
        words = answer.split(b" ", 2)
        return len(words) > 1 and words[0].startswith(b"HTTP/") and words[1][:1] in b"234"


class SocketListens(NamedTuple):
    """Somebody accepts on a Unix socket."""

    path: Path

    @property
    def waits_for(self) -> str:
        return f"somebody to listen on {self.path.name}"

    async def is_ready(self, facts: PartFacts) -> bool:
        return await _ask_socket(self.path, b"") is not None


class BrokerAnswers(NamedTuple):
    """The broker has loaded its file and answers a PING."""

    path: Path
    waits_for: str = "the broker to answer a PING"

    async def is_ready(self, facts: PartFacts) -> bool:
        answer = await _ask_socket(self.path, b"PING\r\n")
        return answer is not None and answer.startswith(b"+PONG")


async def _ask_port(port: int, request: bytes) -> bytes:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(HOST, port)
            return await _exchange(reader, writer, request)
    except (OSError, TimeoutError):
        return b""


async def _ask_socket(path: Path, request: bytes) -> bytes | None:
    """None if nobody listens there."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(path)
            return await _exchange(reader, writer, request)
    except (OSError, TimeoutError):
        return None


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> bytes:
    try:
        if not request:
            return b""
        writer.write(request)
        await writer.drain()
        return await reader.read(ANSWER_BYTES_MAX)
    finally:
        writer.close()
