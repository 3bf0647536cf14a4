"""Beats: a process says ten times a second that it lives and whether it can serve.

A beat is one datagram to `run/beat.sock`, sent and forgotten: nobody waits for the supervisor, and
it may be restarted at any time. The kernel attaches the sender's process number, so a beat counts
only for the part whose process sent it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from pathlib import Path
from typing import Final, NamedTuple

BEAT_BYTES_MAX: Final = 4096
READS_PER_WAKE_MAX: Final = 256
"""A flood of datagrams must not keep the supervisor from its children."""

_CREDENTIALS = struct.Struct("iII")


class Beat(NamedTuple):
    """What one process said."""

    name: str
    pid: int
    role: str
    ready: bool


class BeatSocket:
    """The receiving end."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(str(path))
        path.chmod(0o600)

    def fileno(self) -> int:
        """To wait on."""
        return self._socket.fileno()

    def receive(self) -> list[Beat]:
        """Everything that has arrived, oldest first."""
        beats = []
        for _ in range(READS_PER_WAKE_MAX):
            try:
                data, ancillary, _, _ = self._socket.recvmsg(
                    BEAT_BYTES_MAX, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except BlockingIOError:
                break
            beat = _decode(data, ancillary)
            if beat is not None:
                beats.append(beat)
        return beats

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def _decode(data: bytes, ancillary: list[tuple[int, int, bytes]]) -> Beat | None:
    """None for what is no beat; a sender can't be told, and must not stop us."""
    pid = 0
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid = _CREDENTIALS.unpack(content)[0]
    try:
        fields = json.loads(data)
        return Beat(
            name=str(fields["name"]),
            pid=pid,
            role=str(fields.get("role", "")),
            ready=bool(fields.get("ready", False)),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class BeatSender:
    """The sending end, for processes that have no richer way of their own."""

    def __init__(self, run: Path, name: str) -> None:
        self._path = str(run / "beat.sock")
        self._name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def send(self, *, role: str, ready: bool) -> None:
        """Say it once. That nobody hears is no error: the supervisor may be away."""
        message = {"op": "beat", "name": self._name, "role": role, "ready": ready}
        with contextlib.suppress(OSError):
            self._socket.sendto(json.dumps(message).encode(), self._path)

    def close(self) -> None:
        """Done beating."""
        self._socket.close()
