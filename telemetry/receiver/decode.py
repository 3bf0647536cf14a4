"""OTLP messages as columns of our tables, and as what the rings want.

Pure: bytes in, lists out. Whatever a sender may have put in, a value ends as text of bounded
length, an id as bytes of the right length, a time within what the store keeps; items outside are
left out and counted by reason, so that one odd sender can't stop a batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from telemetry import names

TEXT_CHARS_MAX: Final = 4096
ATTRIBUTES_MAX: Final = 128
LINKS_MAX: Final = 64
EVENTS_MAX: Final = 64
DEPTH_MAX: Final = 8

SPAN_COLUMNS: Final = (
    "Timestamp", "TraceId", "SpanId", "ParentSpanId", "ServiceName", "Node", "SpanName",
    "SpanKind", "DurationNs", "StatusCode", "StatusMessage", "Reason", "Weight",
    "SpanAttributes", "ResourceAttributes", "Links", "Events",
)  # fmt: skip
METRIC_COLUMNS: Final = (
    "Timestamp", "MetricName", "ServiceName", "Node", "Shape", "Unit", "Temporality",
    "Attributes", "Value", "Count", "Scale", "ZeroCount", "BucketOffset", "BucketCounts",
    "Bounds", "ExemplarTraceIds",
)  # fmt: skip
LOG_COLUMNS: Final = (
    "Timestamp", "TraceId", "SpanId", "ServiceName", "Node", "Severity", "SeverityText", "Body",
    "Attributes", "ResourceAttributes",
)  # fmt: skip

DELTA: Final = 1
CUMULATIVE: Final = 2


class Window(NamedTuple):
    """Timestamps that the store takes. Others would scatter over partitions about to be dropped."""

    low_ns: int
    high_ns: int


class Rows:
    """Rows of one table, column by column, and what was left out."""

    __slots__ = ("columns", "left_out", "names")

    def __init__(self, column_names: Sequence[str]) -> None:
        self.names = column_names
        self.columns: list[list[Any]] = [[] for _ in column_names]
        self.left_out: dict[str, int] = {}

    def add(self, row: Sequence[object]) -> None:
        """Append one row."""
        for column, value in zip(self.columns, row, strict=True):
            column.append(value)

    def leave_out(self, reason: str) -> None:
        """Count one item that the store doesn't take."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def __len__(self) -> int:
        return len(self.columns[0])


def plain(value: AnyValue, depth: int = 0) -> object:
    """A value as Python has it; deep nests are cut."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "bytes_value":
        return value.bytes_value.hex()
    if kind in ("array_value", "kvlist_value"):
        if depth >= DEPTH_MAX:
            return "..."
        if kind == "array_value":
            return [plain(item, depth + 1) for item in value.array_value.values]
        return {pair.key: plain(pair.value, depth + 1) for pair in value.kvlist_value.values}
    return getattr(value, kind)


def text(value: AnyValue) -> str:
    """A value as text: what is stored in a map of attributes."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value[:TEXT_CHARS_MAX]
    if kind == "int_value":
        return str(value.int_value)
    found = plain(value)
    if isinstance(found, str):
        return found[:TEXT_CHARS_MAX]
    return "" if found is None else json.dumps(found)[:TEXT_CHARS_MAX]


def attributes(pairs: Iterable[KeyValue]) -> dict[str, str]:
    """Attributes as a map of texts; the first ones count if there are too many."""
    found: dict[str, str] = {}
    for pair in pairs:
        if len(found) >= ATTRIBUTES_MAX:
            break
        found[pair.key[:TEXT_CHARS_MAX]] = text(pair.value)
    return found


class Speaker(NamedTuple):
    """Who sent it."""

    service: str
    node: str
    rest: dict[str, str]


def speaker_of(resource: Resource) -> Speaker:
    """The service and the node of a resource, and its other attributes."""
    rest = attributes(resource.attributes)
    service = rest.pop(names.SERVICE_NAME, "") or "unknown"
    return Speaker(service, rest.pop(names.INSTANCE, ""), rest)


def fixed(identifier: bytes, length: int) -> bytes:
    """An id of the right length; zeros stand for none."""
    return identifier if len(identifier) == length else bytes(length)


def spans(request: ExportTraceServiceRequest, rows: Rows, window: Window) -> None:
    """Add a request's spans to `rows`."""
    for group in request.resource_spans:
        speaker = speaker_of(group.resource)
        for scope in group.scope_spans:
            for span in scope.spans:
                start_ns = span.start_time_unix_nano
                if not window.low_ns <= start_ns <= window.high_ns:
                    rows.leave_out("time out of range")
                elif len(span.trace_id) != 16 or len(span.span_id) != 8:
                    rows.leave_out("malformed id")
                else:
                    rows.add(_span_row(span, speaker))


def _span_row(span: Span, speaker: Speaker) -> tuple[object, ...]:
    found = attributes(span.attributes)
    try:
        weight = float(found.pop(names.WEIGHT, "1"))
    except ValueError:
        weight = 1.0
    return (
        span.start_time_unix_nano,
        span.trace_id,
        span.span_id,
        fixed(span.parent_span_id, 8),
        speaker.service,
        found.pop(names.NODE, "") or speaker.node,
        span.name[:TEXT_CHARS_MAX],
        min(span.kind, 255),
        max(0, span.end_time_unix_nano - span.start_time_unix_nano),
        min(span.status.code, 255),
        span.status.message[:TEXT_CHARS_MAX],
        found.pop(names.REASON, ""),
        weight,
        found,
        speaker.rest,
        [f"{link.trace_id.hex()}:{link.span_id.hex()}" for link in span.links[:LINKS_MAX]],
        [
            json.dumps(
                {
                    "time_ns": event.time_unix_nano,
                    "name": event.name,
                    "attributes": attributes(event.attributes),
                }
            )
            for event in span.events[:EVENTS_MAX]
        ],
    )


def logs(request: ExportLogsServiceRequest, rows: Rows, window: Window) -> None:
    """Add a request's log records to `rows`."""
    for group in request.resource_logs:
        speaker = speaker_of(group.resource)
        for scope in group.scope_logs:
            for record in scope.log_records:
                time_ns = record.time_unix_nano or record.observed_time_unix_nano
                if not window.low_ns <= time_ns <= window.high_ns:
                    rows.leave_out("time out of range")
                    continue
                rows.add(
                    (
                        time_ns,
                        fixed(record.trace_id, 16),
                        fixed(record.span_id, 8),
                        speaker.service,
                        speaker.node,
                        min(max(record.severity_number, 0), 255),
                        record.severity_text[:64],
                        text(record.body),
                        attributes(record.attributes),
                        speaker.rest,
                    )
                )


class MetricPoint(NamedTuple):
    """One point of any shape; fields that its shape lacks are empty."""

    time_ns: int
    attributes: dict[str, str]
    shape: str
    temporality: int
    value: float
    total: int = 0
    scale: int = 0
    zero_count: int = 0
    offset: int = 0
    bucket_counts: Sequence[int] = ()
    bounds: Sequence[float] = ()
    exemplars: Sequence[bytes] = ()


def points_of(metric: Metric) -> list[MetricPoint]:
    """The points of a metric. Summaries (deprecated in OTLP) have none that can be merged."""
    kind = metric.WhichOneof("data")
    if kind == "gauge":
        return [
            MetricPoint(p.time_unix_nano, attributes(p.attributes), "gauge", 0, _number(p))
            for p in metric.gauge.data_points
        ]
    if kind == "sum":
        shape = "counter" if metric.sum.is_monotonic else "sum"
        how = metric.sum.aggregation_temporality
        return [
            MetricPoint(p.time_unix_nano, attributes(p.attributes), shape, how, _number(p))
            for p in metric.sum.data_points
        ]
    if kind == "histogram":
        return [
            MetricPoint(
                p.time_unix_nano,
                attributes(p.attributes),
                "histogram",
                metric.histogram.aggregation_temporality,
                p.sum,
                total=p.count,
                bucket_counts=list(p.bucket_counts),
                bounds=list(p.explicit_bounds),
                exemplars=[e.trace_id for e in p.exemplars if len(e.trace_id) == 16],
            )
            for p in metric.histogram.data_points
        ]
    if kind == "exponential_histogram":
        return [
            MetricPoint(
                p.time_unix_nano,
                attributes(p.attributes),
                "exponential",
                metric.exponential_histogram.aggregation_temporality,
                p.sum,
                total=p.count,
                scale=p.scale,
                zero_count=p.zero_count,
                offset=p.positive.offset,
                bucket_counts=list(p.positive.bucket_counts),
                exemplars=[e.trace_id for e in p.exemplars if len(e.trace_id) == 16],
            )
            for p in metric.exponential_histogram.data_points
        ]
    return []


def _number(point: Any) -> float:
    return float(point.as_int if point.WhichOneof("value") == "as_int" else point.as_double)


def metrics(request: ExportMetricsServiceRequest, rows: Rows, window: Window) -> None:
    """Add a request's metric points to `rows`."""
    for group in request.resource_metrics:
        speaker = speaker_of(group.resource)
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                points = points_of(metric)
                if not points:
                    rows.leave_out("summary or empty metric")
                for point in points:
                    if not window.low_ns <= point.time_ns <= window.high_ns:
                        rows.leave_out("time out of range")
                        continue
                    rows.add(
                        (
                            point.time_ns // 1_000_000,
                            metric.name[:TEXT_CHARS_MAX],
                            speaker.service,
                            speaker.node,
                            point.shape,
                            metric.unit[:64],
                            point.temporality,
                            point.attributes,
                            point.value,
                            point.total,
                            max(-128, min(point.scale, 127)),
                            point.zero_count,
                            point.offset,
                            point.bucket_counts,
                            point.bounds,
                            point.exemplars,
                        )
                    )


class Tick(NamedTuple):
    """What one node counted of one kind in one interval, for the rings."""

    node: str
    time_ns: int
    kind: str
    """read, write, other, or flush."""
    failed: int
    zero_count: int
    offset: int
    bucket_counts: Sequence[int]


RING_KINDS: Final = {
    names.REQUEST_DURATION.name: "",
    names.FLUSH_DURATION.name: "flush",
}
RING_SCALE: Final = 4


def ticks(request: ExportMetricsServiceRequest) -> list[Tick]:
    """What of a request the live pages show. Only deltas of our own scale are counted."""
    found = []
    for group in request.resource_metrics:
        speaker = speaker_of(group.resource)
        if speaker.service != names.SERVICE_STORE:
            continue
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                if metric.name == names.REQUESTS_FAILED.name:
                    for point in points_of(metric):
                        kind = point.attributes.get(names.KIND, names.KIND_OTHER)
                        failed = int(point.value)
                        if point.temporality == DELTA and failed > 0:
                            found.append(Tick(speaker.node, point.time_ns, kind, failed, 0, 0, ()))
                elif metric.name in RING_KINDS:
                    for point in points_of(metric):
                        kind = RING_KINDS[metric.name] or point.attributes.get(
                            names.KIND, names.KIND_OTHER
                        )
                        if point.temporality == DELTA and point.scale == RING_SCALE:
                            found.append(
                                Tick(
                                    speaker.node,
                                    point.time_ns,
                                    kind,
                                    0,
                                    point.zero_count,
                                    point.offset,
                                    point.bucket_counts,
                                )
                            )
    return found
