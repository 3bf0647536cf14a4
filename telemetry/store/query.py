"""The questions that pages ask of the store, each one bounded in rows, time and memory.

Functions take a handle of the engine and plain values, and return what goes out as JSON. All
values are bound by the engine, never pasted into SQL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client

from telemetry import names
from telemetry.receiver.rings import ZERO_BUCKET, quantile_ms

LIMIT_MAX: Final = 500
SPANS_OF_TRACE_MAX: Final = 5_000
ENTRY_SPAN_SECONDS: Final = 600
"""Other spans of a trace are looked for this far around its entry."""
STATUS: Final = ("unset", "ok", "error")
Document = dict[str, Any]


class TraceFilter(NamedTuple):
    """Which traces are asked for; empty fields don't filter."""

    since_ms: int
    until_ms: int
    service: str = ""
    operation: str = ""
    node: str = ""
    reason: str = ""
    min_ms: float = 0.0
    error: bool = False
    limit: int = 50


def traces(client: Client, wanted: TraceFilter) -> Document:
    """The newest traces that match: one row for each, told by its entry span."""
    conditions = [
        "Timestamp >= fromUnixTimestamp64Milli({since:Int64})",
        "Timestamp < fromUnixTimestamp64Milli({until:Int64})",
        # An entry has no parent, or its parent is in a caller that may send us nothing.
        "(ParentSpanId = toFixedString('', 8) OR SpanKind IN (2, 5))",
    ]
    optional = {
        "ServiceName = {service:String}": wanted.service,
        "SpanName = {operation:String}": wanted.operation,
        "Node = {node:String}": wanted.node,
        "Reason = {reason:String}": wanted.reason,
        "DurationNs >= {min_ns:UInt64}": wanted.min_ms,
        "StatusCode = 2": wanted.error,
    }
    conditions += [condition for condition, value in optional.items() if value]
    limit = max(1, min(wanted.limit, LIMIT_MAX))
    entries = client.query(
        "SELECT lower(hex(TraceId)), SpanName, ServiceName, Node, "
        "toUnixTimestamp64Nano(Timestamp), DurationNs, StatusCode, Reason, Weight, "
        "SpanAttributes[{error_name:String}] "
        f"FROM spans WHERE {' AND '.join(conditions)} "
        "ORDER BY Timestamp DESC, DurationNs DESC LIMIT 1 BY TraceId LIMIT {limit:UInt32}",
        parameters={
            "since": wanted.since_ms,
            "until": wanted.until_ms,
            "service": wanted.service,
            "operation": wanted.operation,
            "node": wanted.node,
            "reason": wanted.reason,
            "min_ns": int(wanted.min_ms * 1e6),
            "error_name": names.ERROR_CODE,
            "limit": limit,
        },
    ).result_rows
    counts = _span_counts(client, entries)
    return {
        "traces": [
            {
                "trace_id": row[0],
                "root_name": row[1],
                "service": row[2],
                "node": row[3],
                "start_ms": row[4] // 1_000_000,
                "duration_ms": row[5] / 1e6,
                "status": STATUS[row[6]] if row[6] < len(STATUS) else "unset",
                "reason": row[7],
                "weight": row[8],
                "error": row[9],
                "span_count": counts.get(row[0], 1),
            }
            for row in entries
        ]
    }


def _span_counts(client: Client, entries: Sequence[Sequence[Any]]) -> dict[str, int]:
    if not entries:
        return {}
    margin_ms = ENTRY_SPAN_SECONDS * 1000
    found = client.query(
        "SELECT lower(hex(TraceId)), count() FROM spans WHERE TraceId IN "
        "(SELECT toFixedString(unhex(arrayJoin({ids:Array(String)})), 16)) "
        "AND Timestamp >= fromUnixTimestamp64Milli({since:Int64}) "
        "AND Timestamp < fromUnixTimestamp64Milli({until:Int64}) GROUP BY 1",
        parameters={
            "ids": [row[0] for row in entries],
            "since": min(row[4] for row in entries) // 1_000_000 - margin_ms,
            "until": max(row[4] for row in entries) // 1_000_000 + margin_ms,
        },
    )
    return {trace_id: count for trace_id, count in found.result_rows}


def trace(client: Client, trace_id: str) -> Document | None:
    """All spans of one trace, by start time; None if there are none."""
    found = client.query(
        "SELECT lower(hex(SpanId)), lower(hex(ParentSpanId)), SpanName, ServiceName, Node, "
        "toUnixTimestamp64Nano(Timestamp), DurationNs, StatusCode, StatusMessage, Reason, Weight, "
        "SpanAttributes, Links, Events, SpanKind FROM spans "
        "WHERE TraceId = toFixedString(unhex({id:String}), 16) "
        "ORDER BY Timestamp, DurationNs DESC LIMIT {limit:UInt32}",
        parameters={"id": trace_id, "limit": SPANS_OF_TRACE_MAX},
    ).result_rows
    if not found:
        return None
    return {"trace_id": trace_id, "spans": [_span(row) for row in found]}


def _span(row: Sequence[Any]) -> Document:
    attributes = dict(row[11])
    if row[9]:
        attributes[names.REASON] = row[9]
        attributes[names.WEIGHT] = f"{row[10]:g}"
    if row[8]:
        attributes["status.message"] = row[8]
    return {
        "span_id": row[0],
        "parent_span_id": "" if row[1] == "0" * 16 else row[1],
        "name": row[2],
        "service": row[3],
        "node": row[4],
        "start_ns": row[5],
        "duration_ns": row[6],
        "status": STATUS[row[7]] if row[7] < len(STATUS) else "unset",
        "kind": row[14],
        "attributes": attributes,
        "links": [
            {"trace_id": link[:32], "span_id": link[33:]} for link in row[12] if len(link) == 49
        ],
        "events": [json.loads(event) for event in row[13]],
    }


def stages(client: Client, *, since_ms: int, until_ms: int, operation: str) -> Document:
    """Where the time goes: each operation's stages, of all requests, from the histograms."""
    found = client.query(
        "SELECT Attributes[{operation_name:String}] AS operation, "
        "Attributes[{stage_name:String}] AS stage, sum(Count), sum(Value), sum(ZeroCount), "
        "sumMap(arrayMap(i -> toInt32(BucketOffset + i - 1), arrayEnumerate(BucketCounts)), "
        "BucketCounts) FROM metrics WHERE MetricName IN ({stages:String}, {requests:String}) "
        "AND ServiceName = {service:String} AND Temporality = 1 AND Scale = 4 "
        "AND Timestamp >= fromUnixTimestamp64Milli({since:Int64}) "
        "AND Timestamp < fromUnixTimestamp64Milli({until:Int64}) "
        "AND ({operation:String} = '' OR Attributes[{operation_name:String}] = {operation:String}) "
        "GROUP BY operation, stage LIMIT 2000",
        parameters={
            "operation_name": names.OPERATION,
            "stage_name": names.STAGE,
            "stages": names.STAGE_DURATION.name,
            "requests": names.REQUEST_DURATION.name,
            "service": names.SERVICE_STORE,
            "since": since_ms,
            "until": until_ms,
            "operation": operation,
        },
    )
    operations: dict[str, Document] = {}
    for name, stage, count, sum_s, zero_count, (buckets, counts) in found.result_rows:
        figures = _figures(count, sum_s, zero_count, dict(zip(buckets, counts, strict=True)))
        entry = operations.setdefault(name, {"stages": {}})
        if stage:
            entry["stages"][stage] = figures
        else:
            entry.update(figures)
    return {"operations": operations}


def _figures(
    count: int, sum_s: float, zero_count: int, buckets: Mapping[int, int]
) -> dict[str, float | None]:
    merged = dict(buckets)
    if zero_count:
        merged[ZERO_BUCKET] = zero_count
    return {
        "count": count,
        "sum_ms": sum_s * 1000,
        "mean_ms": sum_s * 1000 / count if count else None,
        "p50_ms": quantile_ms(merged, 0.5),
        "p99_ms": quantile_ms(merged, 0.99),
    }


def metric_series(
    client: Client, *, name: str, since_ms: int, until_ms: int, step_s: int, service: str
) -> Document:
    """A gauge's last value, or a counter's growth, by node and step."""
    found = client.query(
        "SELECT Node, intDiv(toUnixTimestamp(Timestamp), {step:UInt32}) * {step:UInt32} AS t, "
        "any(Shape), any(Unit), sum(Value), argMax(Value, Timestamp) FROM metrics "
        "WHERE MetricName = {name:String} AND ({service:String} = '' "
        "OR ServiceName = {service:String}) AND Shape IN ('gauge', 'counter', 'sum') "
        "AND Timestamp >= fromUnixTimestamp64Milli({since:Int64}) "
        "AND Timestamp < fromUnixTimestamp64Milli({until:Int64}) "
        "GROUP BY Node, t ORDER BY Node, t LIMIT 20000",
        parameters={
            "name": name,
            "service": service,
            "since": since_ms,
            "until": until_ms,
            "step": max(1, step_s),
        },
    )
    series: dict[str, list[tuple[int, float]]] = {}
    unit = ""
    for node, second, shape, unit, total, last in found.result_rows:  # noqa: B007
        series.setdefault(node, []).append((second * 1000, total if shape == "counter" else last))
    return {"name": name, "unit": unit, "series": series}


def logs(
    client: Client,
    *,
    since_ms: int,
    until_ms: int,
    service: str,
    trace_id: str,
    severity_min: int,
    text: str,
    limit: int,
) -> Document:
    """The newest log lines that match."""
    found = client.query(
        "SELECT toUnixTimestamp64Nano(Timestamp), ServiceName, Node, Severity, SeverityText, Body, "
        "Attributes, lower(hex(TraceId)) FROM logs "
        "WHERE Timestamp >= fromUnixTimestamp64Milli({since:Int64}) "
        "AND Timestamp < fromUnixTimestamp64Milli({until:Int64}) "
        "AND ({service:String} = '' OR ServiceName = {service:String}) "
        "AND ({trace:String} = '' OR TraceId = toFixedString(unhex({trace:String}), 16)) "
        "AND Severity >= {severity:UInt8} "
        "AND ({text:String} = '' OR positionCaseInsensitive(Body, {text:String}) > 0) "
        "ORDER BY Timestamp DESC LIMIT {limit:UInt32}",
        parameters={
            "since": since_ms,
            "until": until_ms,
            "service": service,
            "trace": trace_id,
            "severity": severity_min,
            "text": text,
            "limit": max(1, min(limit, LIMIT_MAX)),
        },
    )
    return {
        "logs": [
            {
                "time_ns": row[0],
                "service": row[1],
                "node": row[2],
                "severity": row[3],
                "level": row[4],
                "message": row[5],
                "fields": dict(row[6]),
                "trace_id": "" if row[7] == "0" * 32 else row[7],
            }
            for row in found.result_rows
        ]
    }


PROFILE_FIELDS: Final = (
    "id", "started_ms", "target", "seconds", "rate_hz", "samples", "pause_percent",
)  # fmt: skip
_PROFILE_SQL: Final = (
    "SELECT Id, toUnixTimestamp64Milli(Timestamp), Target, Seconds, RateHz, Samples, PausePercent, "
    "Details"
)


def profiles(client: Client, *, target: str, limit: int) -> Document:
    """The newest profiles, without their stacks."""
    found = client.query(
        f"{_PROFILE_SQL} FROM profiles WHERE ({{target:String}} = '' OR Target = {{target:String}})"
        " ORDER BY Timestamp DESC LIMIT 1 BY Id LIMIT {limit:UInt32}",
        parameters={"target": target, "limit": max(1, min(limit, LIMIT_MAX))},
    )
    return {"profiles": [_profile(row) for row in found.result_rows]}


def profile(client: Client, profile_id: str) -> Document | None:
    """One profile with its stacks, or None."""
    found = client.query(
        f"{_PROFILE_SQL}, Collapsed FROM profiles WHERE Id = {{id:String}} LIMIT 1",
        parameters={"id": profile_id},
    ).result_rows
    if not found:
        return None
    return {**_profile(found[0]), "collapsed": found[0][-1]}


def _profile(row: Sequence[Any]) -> Document:
    details: Document = json.loads(row[7] or "{}")
    return {**details, **dict(zip(PROFILE_FIELDS, row, strict=False))}
