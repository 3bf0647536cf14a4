"""One thread that posts encoded signals to the receiver, in order, within a bound.

Whoever has bytes to send offers them and goes on. While the receiver is away the newest bytes
that fit are kept and the oldest are dropped, and every drop is counted by what it was: an outage
of the telemetry process costs evidence, never memory and never a request.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

QUEUE_BYTES_MAX: Final = 8 * 1024 * 1024
"""A minute of one busy node's signals."""
POST_TIMEOUT_S: Final = 2.0
BACKOFF_S_MIN: Final = 0.25
BACKOFF_S_MAX: Final = 4.0

TRACES: Final = "/v1/traces"
METRICS: Final = "/v1/metrics"
LOGS: Final = "/v1/logs"


class Parcel(NamedTuple):
    """One encoded request and how many items of which kind are in it."""

    path: str
    body: bytes
    what: str
    item_count: int


class Sender:
    """Owns the connection to the receiver. `offer` is safe from any thread and never waits."""

    def __init__(
        self, *, port: int, token: Callable[[], str], count_drop: Callable[[str, int], None]
    ) -> None:
        self._port = port
        self._token = token
        self._count_drop = count_drop
        self._queue: deque[Parcel] = deque()
        self._queued_bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._deadline_s = float("inf")
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._work, name="otlp-sender", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Send what is left for at most `timeout_s`; what stays is counted as dropped."""
        with self._changed:
            self._stopping = True
            self._deadline_s = time.monotonic() + timeout_s
            self._changed.notify()
        self._thread.join(timeout_s + POST_TIMEOUT_S)

    def offer(self, parcel: Parcel) -> None:
        """Queue a parcel; the oldest ones make room."""
        with self._changed:
            self._queue.append(parcel)
            self._queued_bytes += len(parcel.body)
            while self._queued_bytes > QUEUE_BYTES_MAX:
                self._drop_oldest()
            self._changed.notify()

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the receiver."""
        return self._queued_bytes

    def _drop_oldest(self) -> None:
        oldest = self._queue.popleft()
        self._queued_bytes -= len(oldest.body)
        self._count_drop(oldest.what, oldest.item_count)

    def _work(self) -> None:
        backoff_s = 0.0
        while True:
            with self._changed:
                while not self._queue and not self._stopping:
                    self._changed.wait()
                if backoff_s and not self._stopping:
                    self._changed.wait_for(lambda: self._stopping, timeout=backoff_s)
                if not self._queue or time.monotonic() > self._deadline_s:
                    break
                parcel = self._queue[0]
            settled = self._post(parcel)
            if settled is None:
                if self._stopping:
                    break
                backoff_s = min(BACKOFF_S_MAX, max(BACKOFF_S_MIN, backoff_s * 2))
                continue
            backoff_s = 0.0
            with self._changed:
                # While we were posting, the parcel may have been dropped to make room.
                if self._queue and self._queue[0] is parcel:
                    self._queue.popleft()
                    self._queued_bytes -= len(parcel.body)
                    if not settled:
                        self._count_drop(parcel.what, parcel.item_count)
        with self._changed:
            while self._queue:
                self._drop_oldest()
        self._close()

    def _post(self, parcel: Parcel) -> bool | None:
        """True: taken. False: refused for good. None: try again later."""
        headers: Mapping[str, str] = {"Content-Type": "application/x-protobuf"}
        token = self._token()
        if token:
            headers = {**headers, "Authorization": f"Bearer {token}"}
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(
                    "127.0.0.1", self._port, timeout=POST_TIMEOUT_S
                )
            self._connection.request("POST", parcel.path, parcel.body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._close()
            return None
        if answer.status < 300:
            return True
        return None if answer.status in (401, 408, 429, 502, 503, 504) else False

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
