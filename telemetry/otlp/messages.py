"""Metrics and log lines as OTLP messages.

Log-linear buckets become exponential ones of scale 4 (16 an octave, each 4.4 % wide): a bucket
goes where its middle value falls. The shift is at most half a bucket of either kind, so that a
quantile read at the other end is within about 4 % of the value that was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_DELTA,
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from telemetry import names
from telemetry.logs import LogLine
from telemetry.metrics import BUCKET_COUNT, Collected, HistogramDelta, bucket_middle

SCALE: Final = 4
SCOPE: Final = InstrumentationScope(name="holdfast", version="1")
EXPONENTIAL_INDEX: Final = tuple(
    math.ceil(math.log2(bucket_middle(bucket) * 1e-9) * (1 << SCALE)) - 1 if bucket else 0
    for bucket in range(BUCKET_COUNT)
)
"""Where each log-linear bucket goes, in seconds. Bucket 0 is the zero count instead."""


def value_of(value: object) -> AnyValue:
    """One attribute value."""
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=str(value))


def pairs_of(attributes: Mapping[str, object]) -> list[KeyValue]:
    """Attributes in the order given; those without a value are left out."""
    return [
        KeyValue(key=key, value=value_of(value))
        for key, value in attributes.items()
        if value is not None
    ]


def resource_of(service: str, node: str, pid: int) -> Resource:
    """Who speaks."""
    attributes = {names.SERVICE_NAME: service, names.INSTANCE: node, names.PID: pid}
    return Resource(attributes=pairs_of(attributes))


def metrics_request(
    collected: Collected, *, resource: Resource, start_unix_ns: int, now_unix_ns: int
) -> ExportMetricsServiceRequest:
    """One collection as one request: deltas from `start_unix_ns` to `now_unix_ns`."""
    found: dict[str, Metric] = {}
    for delta in collected.histograms:
        metric = found.get(delta.metric.name)
        if metric is None:
            metric = found[delta.metric.name] = _metric(delta.metric)
            metric.exponential_histogram.CopyFrom(
                ExponentialHistogram(aggregation_temporality=AGGREGATION_TEMPORALITY_DELTA)
            )
        metric.exponential_histogram.data_points.append(
            _histogram_point(delta, start_unix_ns, now_unix_ns)
        )
    for grown in collected.counters:
        metric = found.get(grown.metric.name)
        if metric is None:
            metric = found[grown.metric.name] = _metric(grown.metric)
            temporality = AGGREGATION_TEMPORALITY_DELTA
            metric.sum.CopyFrom(Sum(aggregation_temporality=temporality, is_monotonic=True))
        point = NumberDataPoint(
            attributes=pairs_of(grown.attributes),
            start_time_unix_nano=start_unix_ns,
            time_unix_nano=now_unix_ns,
            as_int=grown.amount,
        )
        metric.sum.data_points.append(point)
    for shown in collected.gauges:
        metric = found.get(shown.metric.name)
        if metric is None:
            metric = found[shown.metric.name] = _metric(shown.metric)
            metric.gauge.CopyFrom(Gauge())
        metric.gauge.data_points.append(
            NumberDataPoint(
                attributes=pairs_of(shown.attributes),
                time_unix_nano=now_unix_ns,
                as_double=shown.value,
            )
        )
    scope = ScopeMetrics(scope=SCOPE, metrics=list(found.values()))
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[scope])]
    )


def _metric(metric: names.Metric) -> Metric:
    return Metric(name=metric.name, unit=metric.unit, description=metric.meaning)


def _histogram_point(
    delta: HistogramDelta, start_unix_ns: int, now_unix_ns: int
) -> ExponentialHistogramDataPoint:
    zero_count = 0
    counts: dict[int, int] = {}
    for bucket, count in delta.buckets:
        if bucket == 0:
            zero_count = count
        else:
            index = EXPONENTIAL_INDEX[bucket]
            counts[index] = counts.get(index, 0) + count
    point = ExponentialHistogramDataPoint(
        attributes=pairs_of(delta.attributes),
        start_time_unix_nano=start_unix_ns,
        time_unix_nano=now_unix_ns,
        count=zero_count + sum(counts.values()),
        sum=delta.sum_ns / 1e9,
        scale=SCALE,
        zero_count=zero_count,
    )
    if counts:
        low, high = min(counts), max(counts)
        point.positive.offset = low
        point.positive.bucket_counts.extend(counts.get(i, 0) for i in range(low, high + 1))
    if delta.exemplar is not None:
        point.exemplars.append(
            Exemplar(
                time_unix_nano=delta.exemplar.time_unix_ns,
                as_double=delta.exemplar.value_ns / 1e9,
                trace_id=delta.exemplar.trace_id.to_bytes(16, "big"),
                span_id=delta.exemplar.span_id.to_bytes(8, "big"),
            )
        )
    return point


def logs_request(lines: Iterable[LogLine], *, resource: Resource) -> ExportLogsServiceRequest:
    """Log lines as one request."""
    records = [
        LogRecord(
            time_unix_nano=line.time_unix_ns,
            severity_number=line.severity,  # type: ignore[arg-type]  # an open enum: any 1-24
            severity_text=line.level,
            body=AnyValue(string_value=line.message),
            attributes=pairs_of({"logger": line.logger, **line.fields}),
            trace_id=bytes.fromhex(line.trace_id) if len(line.trace_id) == 32 else b"",
        )
        for line in lines
    ]
    scope = ScopeLogs(scope=SCOPE, log_records=records)
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=resource, scope_logs=[scope])]
    )
