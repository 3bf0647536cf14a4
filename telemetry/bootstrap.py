"""Joins the facade to its exporters: a process calls start() once and stop() at its end.

This is the one module of the facade that imports the OpenTelemetry SDK (through otlp/), about
0.2 s at start. Everything else of the facade is importable for nothing, so that pure code and
tests may use clocks and recorders without it. Threads don't survive a fork: call start() in the
child.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TextIO

from telemetry import logs
from telemetry.config import Settings, read_secret
from telemetry.metrics import MetricSet
from telemetry.otlp.exporter import Exporter
from telemetry.tracing import Recorder

SWITCH_INTERVAL_S: Final = 0.0002
"""Python's 5 ms would let an encoding thread hold up the event loop for that long, and let a busy
loop hold up the log thread between its write, its flush and its report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What a running process records with."""

    recorder: Recorder
    metrics: MetricSet
    exporter: Exporter

    def stop(self, timeout_s: float = 2.0) -> None:
        """Send what is left and end the threads."""
        self.exporter.stop(timeout_s)


def start(
    service: str,
    node: str,
    settings: Settings,
    *,
    log_level: int = logging.INFO,
    log_stream: TextIO | None = None,
    trace_id: Callable[[], str] = logs.no_trace,
) -> Telemetry:
    """Start to export; log as JSON to `log_stream` (standard error) and to the receiver.

    `node` is the name of this process in its service ("node-1", "web"). The token is read at each
    post, so that it may be made after this process has started.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    metrics = MetricSet()
    exporter = Exporter(
        service=service,
        node=node,
        metrics=metrics,
        port=settings.otlp_port,
        token=lambda: read_secret(settings.secrets / "otlp.token"),
    )
    recorder = Recorder(service, node, settings, metrics=metrics, sink=exporter)
    logs.configure(
        service,
        node,
        level=log_level,
        stream=log_stream,
        ship=exporter.offer_line,
        trace_id=trace_id,
    )
    exporter.start()
    return Telemetry(recorder=recorder, metrics=metrics, exporter=exporter)
