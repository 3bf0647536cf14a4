"""The dead-man ping: who watches the watcher is outside of this machine.

After each healthy turn the watch rings; a thread of its own then asks HEARTBEAT_URL for an answer,
at most once in PING_EVERY_S. A service there raises its own alarm when pings stop, for whatever
reason: this machine is off, the watcher is dead, or its turns fail.
"""

import http.client
import logging
import threading
import time
import urllib.request

logger = logging.getLogger(__name__)

PING_EVERY_S = 10.0
DEADLINE_S = 5.0


class DeadManPing:
    """Does nothing without an address."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._rung = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="dead-man", daemon=True)
        self._trouble = ""
        self.sent = 0

    def start(self) -> None:
        if self._url:
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._rung.set()

    def ring(self) -> None:
        """A turn went well. Never blocks."""
        self._rung.set()

    def _work(self) -> None:
        while not self._stopped.is_set():
            self._rung.wait()
            self._rung.clear()
            if self._stopped.is_set():
                return
            began_s = time.monotonic()
            self.send()
            self._stopped.wait(max(0.0, PING_EVERY_S - (time.monotonic() - began_s)))
            # What was rung while we waited is old; the next healthy turn rings again.
            self._rung.clear()

    def send(self) -> bool:
        """One request; True if somebody answered it."""
        request = urllib.request.Request(self._url, headers={"User-Agent": "holdfast-watcher"})
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S):
                self.sent += 1
        except (http.client.HTTPException, OSError, ValueError) as error:
            if not self._trouble:
                logger.warning("the dead-man ping failed: %s", error)
            self._trouble = str(error)
            return False
        self._trouble = ""
        return True
