"""The supervisor's socket: one JSON line in, one JSON line out.

Only the owner of the fleet (or root) is heard, by the credentials that the kernel attaches. A
request names a part, never a process. A pause is a lease: it is on disk before the signal, it ends
by itself, and a new supervisor continues whatever an old one left paused.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any, Final

from storage_core.fleet import pauses
from storage_core.fleet.supervisor import Supervisor
from storage_core.fleet.watched import WatchedPart

REQUEST_BYTES_MAX: Final = 65_536
IDLE_S_MAX: Final = 30.0
PAUSE_MS_MAX: Final = 60_000

_CREDENTIALS = struct.Struct("iII")


class BadRequest(Exception):
    """The asker is told the text."""


class Control:
    """Serves `run/supervisor.sock`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._path = supervisor.settings.run / "supervisor.sock"
        self._server: asyncio.Server | None = None
        self._paused: dict[str, int] = {}
        """Part -> Unix time in ms at which its pause ends."""

    async def start(self) -> None:
        """Listen, in place of a predecessor."""
        self._path.unlink(missing_ok=True)
        # Whatever a predecessor left paused was continued when it was taken over.
        self._write_leases()
        self._server = await asyncio.start_unix_server(
            self._serve, str(self._path), limit=REQUEST_BYTES_MAX
        )
        self._path.chmod(0o600)

    def close(self) -> None:
        """No new requests."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _peer_uid(writer) not in (0, os.getuid()):
                return
            while True:
                async with asyncio.timeout(IDLE_S_MAX):
                    line = await reader.readline()
                if not line:
                    return
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError):
            return  # Gone, idle, or no line within the limit: nobody is left to tell.
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Mapping[str, object]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise BadRequest("expected an object with op and name")
            return await self._perform(request)
        except BadRequest as error:
            return {"error": str(error)}
        except ValueError:
            return {"error": "expected one JSON object a line"}

    async def _perform(self, request: dict[str, Any]) -> Mapping[str, object]:
        supervisor, op = self._supervisor, request.get("op")
        if op == "registry":
            return {name: record.to_json() for name, record in supervisor.records().items()}
        watched = self._named(request)
        if op == "stop":
            await supervisor.stop_part(watched)
        elif op == "start":
            supervisor.start_part(watched)
        elif op == "restart":
            _check_process(watched, request.get("process"))
            await supervisor.restart_part(watched)
        elif op == "kill":
            self._signal(watched, signal.SIGKILL)
        elif op == "pause":
            self._pause(watched, request.get("ttl_ms"))
        elif op == "resume":
            self._resume(watched)
        else:
            raise BadRequest("op is one of registry, stop, start, restart, kill, pause, resume")
        return {"ok": True}

    def _named(self, request: dict[str, Any]) -> WatchedPart:
        name = request.get("name")
        watched = self._supervisor.parts.get(name) if isinstance(name, str) else None
        if watched is None or watched.part.once:
            names = ", ".join(self._supervisor.records())
            raise BadRequest(f"name is one of {names}")
        return watched

    def _signal(self, watched: WatchedPart, number: signal.Signals) -> None:
        if watched.process is None or not watched.process.signal(number):
            raise BadRequest(f"{watched.name} has no process now")

    def _pause(self, watched: WatchedPart, ttl_ms: object) -> None:
        if not isinstance(ttl_ms, int) or not 1 <= ttl_ms <= PAUSE_MS_MAX:
            raise BadRequest(f"ttl_ms is a whole number from 1 to {PAUSE_MS_MAX}")
        self._paused[watched.name] = time.time_ns() // 1_000_000 + ttl_ms
        self._write_leases()
        if watched.pause_timer is not None:
            watched.pause_timer.cancel()
        loop = asyncio.get_running_loop()
        watched.pause_timer = loop.call_later(ttl_ms / 1000, self._resume, watched)
        self._signal(watched, signal.SIGSTOP)

    def _resume(self, watched: WatchedPart) -> None:
        if watched.pause_timer is not None:
            watched.pause_timer.cancel()
            watched.pause_timer = None
        if watched.process is not None:
            watched.process.signal(signal.SIGCONT)
        self._paused.pop(watched.name, None)
        self._write_leases()

    def _write_leases(self) -> None:
        pauses.write(self._supervisor.settings.run, self._paused)


def _check_process(watched: WatchedPart, meant: object) -> None:
    """An order about one process of a part must not hit the next one: it may have come late."""
    if meant is None:
        return
    now = None if watched.process is None else watched.process.identity.pid
    if meant != now:
        raise BadRequest(f"{watched.name} is process {now} by now, not {meant}; nothing was done")


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    peer: socket.socket = writer.get_extra_info("socket")
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(raw)[1]
    return uid
