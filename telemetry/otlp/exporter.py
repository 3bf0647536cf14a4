"""The thread that turns what a process recorded into OTLP, a few times a second.

The event loop only appends to bounded queues; encoding (50 us a span) and collecting (copies of
histograms) happen here, and posting happens on a second thread, so that a receiver that hangs
delays neither. Metrics leave every second, stage histograms every fifth, spans and lines within
half a second.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

from telemetry import names
from telemetry.logs import LogLine
from telemetry.metrics import Counter, MetricSet
from telemetry.otlp.messages import logs_request, metrics_request, resource_of
from telemetry.otlp.sender import LOGS, METRICS, TRACES, Parcel, Sender
from telemetry.otlp.spans import SpanMaker
from telemetry.otlp.spans import resource_of as sdk_resource_of
from telemetry.tracing import KeptRecord

RECORDS_MAX: Final = 2048
SPANS_MAX: Final = 8192
LINES_MAX: Final = 4096
TICK_S: Final = 0.25
METRICS_EVERY_S: Final = 1.0
STAGES_EVERY_COUNT: Final = 5
"""Stage histograms are many and no live page needs them by the second."""
RECORDS_A_PARCEL: Final = 64


class Exporter:
    """Takes records, SDK spans and log lines from any thread; collects the metrics itself."""

    def __init__(
        self,
        *,
        service: str,
        node: str,
        metrics: MetricSet,
        port: int,
        token: Callable[[], str],
    ) -> None:
        pid = os.getpid()
        self.metrics = metrics
        self._resource = resource_of(service, node, pid)
        self.sdk_resource = sdk_resource_of(service, node, pid)
        self._maker = SpanMaker(service, node, self.sdk_resource)
        self._records: deque[KeptRecord] = deque()
        self._spans: deque[ReadableSpan] = deque()
        self._lines: deque[LogLine] = deque()
        self._drops: dict[str, Counter] = {}
        self.sender = Sender(port=port, token=token, count_drop=self.count_drop)
        self._stopping = threading.Event()
        self._collected_unix_ns = time.time_ns()
        self._collections_count = 0
        self._missed = metrics.counter(names.REPORTS_MISSED)
        started_s = time.monotonic()
        # Even an idle process has this to say each second: that it is there.
        metrics.gauge(names.UPTIME, lambda: time.monotonic() - started_s)
        self._thread = threading.Thread(target=self._work, name="otlp-exporter", daemon=True)

    def start(self) -> None:
        """Begin to export."""
        self.sender.start()
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Export what there is, within `timeout_s`."""
        self._stopping.set()
        self._thread.join(timeout_s)
        self.sender.stop(timeout_s)

    def offer(self, record: KeptRecord) -> bool:
        """Take a kept record; False if the queue is full."""
        if len(self._records) >= RECORDS_MAX:
            return False
        self._records.append(record)
        return True

    def offer_span(self, span: ReadableSpan) -> None:
        """Take a span of the ordinary SDK (Django, Celery); a full queue counts it as dropped."""
        if len(self._spans) >= SPANS_MAX:
            self.count_drop("span", 1)
        else:
            self._spans.append(span)

    def offer_line(self, line: LogLine) -> None:
        """Take a log line; a full queue counts it as dropped."""
        if len(self._lines) >= LINES_MAX:
            self.count_drop("log", 1)
        else:
            self._lines.append(line)

    def count_drop(self, what: str, item_count: int) -> None:
        """Count signals that never left."""
        counter = self._drops.get(what)
        if counter is None:
            counter = self._drops[what] = self.metrics.counter(
                names.SIGNALS_DROPPED, {names.WHAT: what}
            )
        counter.value += item_count

    def _work(self) -> None:
        due_s = time.monotonic() + METRICS_EVERY_S
        while not self._stopping.wait(TICK_S):
            self._export_spans()
            self._export_lines()
            now_s = time.monotonic()
            if now_s >= due_s:
                # After a long stall don't catch up: one collection holds all of it.
                self._missed.value += int((now_s - due_s) / METRICS_EVERY_S)
                due_s = max(due_s + METRICS_EVERY_S, now_s)
                self._export_metrics()
        self._export_spans()
        self._export_lines()
        self._collections_count = 0
        self._export_metrics()

    def _export_spans(self) -> None:
        while self._records or self._spans:
            spans: list[ReadableSpan] = []
            for _ in range(min(RECORDS_A_PARCEL, len(self._records))):
                spans.extend(self._maker.spans_of(self._records.popleft()))
            count = min(RECORDS_A_PARCEL, len(self._spans))
            spans.extend(self._spans.popleft() for _ in range(count))
            body = encode_spans(spans).SerializeToString()
            self.sender.offer(Parcel(TRACES, body, "span", len(spans)))

    def _export_lines(self) -> None:
        count = len(self._lines)
        if count:
            lines = [self._lines.popleft() for _ in range(count)]
            body = logs_request(lines, resource=self._resource).SerializeToString()
            self.sender.offer(Parcel(LOGS, body, "log", count))

    def _export_metrics(self) -> None:
        rarely = self._collections_count % STAGES_EVERY_COUNT == 0
        self._collections_count += 1
        collected = self.metrics.collect(rarely=rarely)
        start_unix_ns, self._collected_unix_ns = self._collected_unix_ns, time.time_ns()
        request = metrics_request(
            collected,
            resource=self._resource,
            start_unix_ns=start_unix_ns,
            now_unix_ns=self._collected_unix_ns,
        )
        count = len(collected.histograms) + len(collected.counters) + len(collected.gauges)
        self.sender.offer(Parcel(METRICS, request.SerializeToString(), "metric", count))
