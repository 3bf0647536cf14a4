"""A hand of our own: one small write and read a second, timed, whatever the product says of itself.

It tells a page that speaks the truth about a busy machine from one that is false. Slow means over
the thresholds of the objectives.
"""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from bench import signed
from bench.client import send_once
from runbooks import clock
from telemetry.config import Settings

CONTAINER = "calm"
BLOB = "beat"


class Round(NamedTuple):
    """When it began (Unix ms), how long both parts took, and what went wrong, if anything did."""

    at_ms: int
    write_ms: float
    read_ms: float
    reason: str
    is_slow: bool

    @property
    def is_bad(self) -> bool:
        return self.is_slow or bool(self.reason)


class Hand(threading.Thread):
    """Times a round each second until told to stop."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True, name="hand")
        self.rounds: list[Round] = []
        self._settings = settings
        self._stopping = threading.Event()

    def run(self) -> None:
        self._send(signed.create_container(CONTAINER))
        while not self._stopping.is_set():
            began_s = time.monotonic()
            self.rounds.append(self.round())
            self._stopping.wait(max(0.0, 1.0 - (time.monotonic() - began_s)))

    def stop(self) -> None:
        self._stopping.set()
        self.join(30)

    def round(self) -> Round:
        at_ms = clock.now_ms()
        write_ms, wrong = self._send(signed.put_blob(CONTAINER, BLOB, b"calm"))
        read_ms, also_wrong = self._send(signed.get_blob(CONTAINER, BLOB))
        slow = write_ms > self._settings.slow_write_ms or read_ms > self._settings.slow_read_ms
        return Round(at_ms, write_ms, read_ms, wrong or also_wrong, slow)

    def _send(self, request: bytes) -> tuple[float, str]:
        began_s, reason = time.monotonic(), ""
        try:
            status = send_once(self._settings.blob_port, request).status
            reason = "" if status in (200, 201, 409) else f"answered {status}"
        except OSError as error:
            reason = str(error) or type(error).__name__
        return (time.monotonic() - began_s) * 1000, reason

    def between(self, since_ms: int, until_ms: int) -> list[Round]:
        return [one for one in list(self.rounds) if since_ms <= one.at_ms <= until_ms]
