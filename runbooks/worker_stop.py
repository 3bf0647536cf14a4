"""SIGTERM to the worker: end within a second or so, and leave no run waiting for a lease.

Celery's warm shutdown waits for its children, and a capture lasts up to a minute. So the children
are told too: they give back what may be repeated, the journal notes it, and the next worker goes
on at once. Nothing is interrupted in the middle of a line: the flag is seen when the lease is kept.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

from billiard.process import active_children
from celery import signals

from runbooks import driver

# The pool keeps SIGTERM and SIGUSR1 of its children for itself.
GIVE_BACK = signal.SIGUSR2


def connect() -> None:
    """Called once in the worker's main process, before it forks."""
    signals.worker_process_init.connect(_listen, weak=False)
    signals.worker_shutting_down.connect(_tell_children, weak=False)


def _listen(**_kwargs: Any) -> None:
    signal.signal(GIVE_BACK, _give_back)


def _give_back(_number: int, _frame: FrameType | None) -> None:
    driver.give_back()


def _tell_children(**_kwargs: Any) -> None:
    for child in active_children():
        if child.pid is not None:
            os.kill(child.pid, GIVE_BACK)
