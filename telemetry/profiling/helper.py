"""The profiler process: `python -m telemetry.profiling.helper`.

The one process that may hold the right to trace others, so it does one thing: capture the stacks
of a process that the supervisor registered, asked for by name. A process id never comes from
outside; the registered one is used only if its start time still matches, so a reused id is never
traced. Callers are known by the kernel's word for who is at the other end of the socket.

One JSON object a line in, one a line out, in order:
{"op": "capture", "target": "node-1", "seconds": 10, "rate_hz": 100} ->
{"collapsed": ..., "samples": ..., "pause_percent": ..., ...} or
{"error": ..., "code": ..., "again": whether the same request may do better later}.
"profile" and "name" are understood for "capture" and "target". A caller that closes its socket
ends its capture.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from telemetry import logs, names
from telemetry.config import Settings
from telemetry.profiling import pyspy
from telemetry.profiling.pyspy import ProfileFailed

LINE_BYTES_MAX: Final = 4096
CONNECTIONS_MAX: Final = 32
CAPTURES_MAX: Final = 4
"""Captures at one time, of different targets."""
SOCKET: Final = "profiler.sock"
REGISTRY: Final = "registry.json"
_CREDENTIALS: Final = struct.Struct("3i")

log = logging.getLogger(__name__)


class Denied(Exception):
    """The request can't be served. `code` tells machines why: bad_request, unknown_target, ..."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def answer(self) -> dict[str, object]:
        """The refusal as it goes out."""
        again = self.code in ("busy", "no_registry", "target_gone", "profile_failed")
        return {"error": self.message, "code": self.code, "again": again}


def start_time_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot; raises FileNotFoundError if it is gone."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return int(text.rpartition(")")[2].split()[19])


def resolve(registry: Path, name: str) -> int:
    """The process id behind a registered name, proven to be the same process."""
    try:
        document = json.loads(registry.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Denied("no_registry", "the supervisor has not written a registry yet") from None
    except ValueError:
        raise Denied("no_registry", "the registry is not JSON") from None
    entry = document.get(name) if isinstance(document, dict) else None
    if not isinstance(entry, dict) or not isinstance(entry.get("pid"), int):
        known = ", ".join(sorted(document)) if isinstance(document, dict) else ""
        raise Denied("unknown_target", f"no process {name!r} is registered; known: {known}")
    pid: int = entry["pid"]
    try:
        ticks = start_time_ticks(pid)
    except (FileNotFoundError, ProcessLookupError):
        raise Denied("target_gone", f"{name} (process {pid}) is gone") from None
    if ticks != entry.get("start_time_ticks"):
        raise Denied("target_gone", f"process {pid} is no longer {name}")
    return pid


def _whole(request: Mapping[str, object], field: str, default: int, high: int) -> int:
    value = request.get(field, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= high:
        raise Denied("bad_request", f"{field}: a whole number from 1 to {high}")
    return value


class Profiler:
    """Serves the socket."""

    def __init__(self, settings: Settings) -> None:
        self._registry = settings.run / REGISTRY
        self._path = settings.run / SOCKET
        self._running: set[str] = set()
        self._connections_count = 0

    async def listen(self) -> asyncio.Server:
        """Bind the socket, for this user only."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        old_mask = os.umask(0o177)
        try:
            return await asyncio.start_unix_server(
                self._connected, path=str(self._path), limit=LINE_BYTES_MAX
            )
        finally:
            os.umask(old_mask)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections_count += 1
        try:
            if self._connections_count > CONNECTIONS_MAX:
                await _reply(writer, Denied("busy", "too many connections").answer())
            elif not _may_ask(writer):
                await _reply(writer, Denied("forbidden", "another user's process").answer())
            else:
                await self._talk(reader, writer)
        except Denied as denied:
            await _reply(writer, denied.answer())
        except ConnectionError:
            log.info("the caller left before the answer")
        finally:
            self._connections_count -= 1
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await _line(reader)
        while line:
            answering = asyncio.create_task(self._answer_or_refuse(line))
            next_line = asyncio.create_task(_line(reader))
            try:
                await asyncio.wait((answering, next_line), return_when=asyncio.FIRST_COMPLETED)
                if next_line.done() and not next_line.result():
                    return
                await _reply(writer, await answering)
                line = await next_line
            finally:
                # Whoever asked has gone, or we have answered: either way nothing goes on.
                answering.cancel()
                next_line.cancel()
                await asyncio.gather(answering, next_line, return_exceptions=True)

    async def _answer_or_refuse(self, line: bytes) -> dict[str, object]:
        try:
            return await self.answer(line)
        except Denied as denied:
            return denied.answer()
        except ProfileFailed as failed:
            return Denied("profile_failed", str(failed)).answer()

    async def answer(self, line: bytes) -> dict[str, object]:
        """Serve one request line."""
        try:
            request = json.loads(line)
        except ValueError:
            raise Denied("bad_request", "a line is one JSON object") from None
        if not isinstance(request, dict) or request.get("op") not in ("capture", "profile"):
            raise Denied("bad_request", 'op: "capture" is all there is')
        name = request.get("target", request.get("name"))
        if not isinstance(name, str) or not name:
            raise Denied("bad_request", "target: a registered name")
        seconds = _whole(request, "seconds", 10, pyspy.SECONDS_MAX)
        rate_hz = _whole(request, "rate_hz", 100, pyspy.RATE_HZ_MAX)
        pid = resolve(self._registry, name)
        if name in self._running:
            raise Denied("busy", f"a profile of {name} is being taken")
        if len(self._running) >= CAPTURES_MAX:
            raise Denied("busy", f"{CAPTURES_MAX} profiles are being taken")
        self._running.add(name)
        started_ms = time.time_ns() // 1_000_000
        try:
            profile = await pyspy.record(
                pid,
                seconds=seconds,
                rate_hz=rate_hz,
                nonblocking=bool(request.get("nonblocking")),
                idle=bool(request.get("idle")),
            )
        finally:
            self._running.discard(name)
        log.info("profile taken", extra={"target": name, "samples": profile.sample_count})
        return {
            "target": name,
            "pid": pid,
            "started_ms": started_ms,
            "seconds": seconds,
            "rate_hz": rate_hz,
            "collapsed": profile.collapsed,
            "samples": profile.sample_count,
            "pause_percent": profile.pause_percent,
            "pause_looks": profile.looks_count,
        }


def _may_ask(writer: asyncio.StreamWriter) -> bool:
    peer: socket.socket = writer.get_extra_info("socket")
    given = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user_id, _ = _CREDENTIALS.unpack(given)
    return user_id in (os.getuid(), 0)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:
        raise Denied("bad_request", f"a line has at most {LINE_BYTES_MAX} bytes") from None


async def _reply(writer: asyncio.StreamWriter, answer: Mapping[str, object]) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")
    await writer.drain()


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = await Profiler(settings).listen()
    log.info("profiler serves")
    async with server:
        await stopping.wait()


def main(arguments: Sequence[str] = ()) -> None:
    """Serve as configured by the environment; there are no arguments."""
    assert not arguments, arguments
    settings = Settings.from_environment()
    logs.configure(names.SERVICE_PROFILER, "profiler")
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
