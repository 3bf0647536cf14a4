"""Joins the worker's processes to telemetry: their spans and log lines leave like the store's.

The exporter's threads do not survive a fork, so each child starts its own after it was forked.
Telemetry that is down costs nothing here: the exporter is bounded and drops.
"""

from __future__ import annotations

from typing import Any

from celery import signals
from django.conf import settings

from telemetry import bootstrap, instrument, names
from telemetry.bootstrap import Telemetry

_running: list[Telemetry] = []


def connect() -> None:
    """Called once in the worker's main process, before it forks."""
    signals.worker_process_init.connect(_start, weak=False)
    signals.worker_process_shutdown.connect(_stop, weak=False)


def _start(**_kwargs: Any) -> None:
    telemetry = bootstrap.start(
        names.SERVICE_WORKER, "worker", settings.HOLDFAST, trace_id=instrument.current_trace_id
    )
    instrument.instrument_celery(instrument.use_sdk(telemetry))
    _running.append(telemetry)


def _stop(**_kwargs: Any) -> None:
    while _running:
        _running.pop().stop()
