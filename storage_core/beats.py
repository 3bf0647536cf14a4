"""A sign of life to the supervisor, ten times a second, that nobody waits for.

A beat comes from the loop itself, so a loop that hangs stops beating, whatever the process looks
like from outside. It says who leads, so that the supervisor can keep the leader off the front
door. Nobody listening is no error: a node outlives its supervisor.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path

BEAT_S = 0.1


class Beats:
    """Sends {"op": "beat", "name", "role", "ready"} datagrams until stopped."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        path: Path,
        name: str,
        role: Callable[[], str],
        ready: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._path = str(path)
        self._name = name
        self._role = role
        self._ready = ready
        self._stopped = False
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.setblocking(False)

    def start(self) -> None:
        if self._stopped:
            return
        self._loop.call_later(BEAT_S, self.start)
        self.send()

    def send(self) -> None:
        """One beat now: a change of role should not wait."""
        beat = {"op": "beat", "name": self._name, "role": self._role(), "ready": self._ready()}
        try:
            self._sock.sendto(json.dumps(beat).encode(), self._path)
        except OSError:
            # No supervisor at the moment, or it is behind: the next beat says the same.
            return

    def stop(self) -> None:
        self._stopped = True
        self._sock.close()
