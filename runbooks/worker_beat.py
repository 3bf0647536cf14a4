"""The worker's heartbeat, from its main process: alive, and whether it hears the bell.

A thread writes it, because the main loop of a worker without a broker is busy trying to connect,
and that is a state people must be told of, not silence. The thread writes one file and holds
nothing that a forked child could need.
"""

from __future__ import annotations

import threading
from typing import Any

from celery import bootsteps
from django.conf import settings

from runbooks import clock, heartbeat

LISTENING = "listening"
CONNECTING = "connecting to the broker"


class BeatThread(threading.Thread):
    """Beats each second; `note` may be set from any thread."""

    def __init__(self) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.note = CONNECTING
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.is_set():
            heartbeat.beat(
                settings.HOLDFAST.run, heartbeat.WORKER, note=self.note, now_ms=clock.now_ms()
            )
            self._stopped.wait(1.0)

    def stop(self) -> None:
        self._stopped.set()


class BeatStep(bootsteps.StartStopStep):
    """Part of the consumer: started at each connection, stopped when one is lost."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    thread: BeatThread | None = None

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        if BeatStep.thread is None:
            BeatStep.thread = BeatThread()
            BeatStep.thread.start()

    def start(self, consumer: Any) -> None:
        assert self.thread is not None, "made with the step"
        self.thread.note = LISTENING

    def stop(self, consumer: Any) -> None:
        assert self.thread is not None, "made with the step"
        self.thread.note = CONNECTING
