"""The questions of whoever looks for a cause: any metric by node, and kept requests with stages.

Pages ask for one thing and show it; triage compares everything with everything. So these answers
are wide and flat, bounded in rows, and say nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from telemetry import names
from telemetry.receiver.rings import ZERO_BUCKET, quantile_ms
from telemetry.store.query import ENTRY_SPAN_SECONDS, STATUS, Document

ROWS_MAX: Final = 20_000
SPANS_MAX: Final = 60_000
SERVER_KIND: Final = 2


def points(
    client: Client,
    *,
    wanted: Sequence[str],
    by: Sequence[str],
    since_ms: int,
    until_ms: int,
    step_s: int,
) -> Document:
    """Metrics by node, step, and the first attribute of `by` that a point carries ("": none).

    One answer for all that is wanted, since a search for a cause compares them all and each
    question costs the store a scan. Rows are [node, attribute's value, start ms, count, sum, last,
    p50, p99]. For a gauge `last` is the figure, for a counter `sum`; quantiles are of exponential
    histograms in seconds, and given in milliseconds.
    """
    found = client.query(
        "SELECT MetricName, Node, "
        "arrayFirst(x -> x != '', arrayMap(k -> Attributes[k], {by:Array(String)})) AS of, "
        "intDiv(toUnixTimestamp64Milli(Timestamp), {step_ms:Int64}) * {step_ms:Int64} AS at, "
        "any(Shape), any(Unit), sum(Count), sum(Value), argMax(Value, Timestamp), sum(ZeroCount), "
        "sumMapIf(arrayMap(i -> toInt32(BucketOffset + i - 1), arrayEnumerate(BucketCounts)), "
        "BucketCounts, Scale = 4) FROM metrics WHERE MetricName IN {names:Array(String)} "
        "AND ServiceName = {service:String} "
        "AND Timestamp >= fromUnixTimestamp64Milli({since:Int64}) "
        "AND Timestamp < fromUnixTimestamp64Milli({until:Int64}) "
        "GROUP BY MetricName, Node, of, at ORDER BY MetricName, Node, of, at LIMIT {limit:UInt32}",
        parameters={
            "by": list(by) or [""],
            "step_ms": max(1, step_s) * 1000,
            "names": list(wanted),
            "service": names.SERVICE_STORE,
            "since": since_ms,
            "until": until_ms,
            "limit": ROWS_MAX,
        },
    ).result_rows
    metrics: dict[str, Document] = {}
    for name, *row in found:
        told = metrics.setdefault(name, {"shape": row[3], "unit": row[4], "rows": []})
        told["rows"].append(_point(row))
    return {"metrics": metrics}


def _point(row: Sequence[Any]) -> list[object]:
    node, of, at, _, _, count, total, last, zero_count, (offsets, counts) = row
    buckets = dict(zip(offsets, counts, strict=True))
    if zero_count:
        buckets[ZERO_BUCKET] = zero_count
    p50, p99 = quantile_ms(buckets, 0.5), quantile_ms(buckets, 0.99)
    return [node, of, at, count, total, last, p50, p99]


def requests(client: Client, *, since_ms: int, until_ms: int, limit: int) -> Document:
    """Requests that the store's nodes kept, with attributes and the stages of every node."""
    entries = client.query(
        "SELECT lower(hex(TraceId)), lower(hex(SpanId)), SpanName, Node, "
        "toUnixTimestamp64Nano(Timestamp), DurationNs, StatusCode, Reason, Weight, SpanAttributes "
        "FROM spans WHERE ServiceName = {service:String} AND SpanKind = {kind:UInt8} "
        "AND Timestamp >= fromUnixTimestamp64Milli({since:Int64}) "
        "AND Timestamp < fromUnixTimestamp64Milli({until:Int64}) "
        "ORDER BY cityHash64(TraceId) LIMIT {limit:UInt32} BY Reason",
        parameters={
            "service": names.SERVICE_STORE,
            "kind": SERVER_KIND,
            "since": since_ms,
            "until": until_ms,
            "limit": limit,
        },
    ).result_rows
    stages = _stages_of(client, entries)
    return {
        "requests": [
            {
                "trace_id": row[0],
                "operation": row[2],
                "node": row[3],
                "start_ns": row[4],
                "duration_ns": row[5],
                "status": STATUS[row[6]] if row[6] < len(STATUS) else "unset",
                "reason": row[7],
                "weight": row[8],
                "attributes": dict(row[9]),
                "stages": stages.get(row[1], []),
            }
            for row in entries
        ]
    }


def _stages_of(
    client: Client, entries: Sequence[Sequence[Any]]
) -> dict[str, list[tuple[str, str, int, int]]]:
    """Spans below each entry: (stage, node, start ns, duration ns)."""
    if not entries:
        return {}
    margin_ms = ENTRY_SPAN_SECONDS * 1000
    found = client.query(
        "SELECT lower(hex(ParentSpanId)), SpanName, Node, toUnixTimestamp64Nano(Timestamp), "
        "DurationNs FROM spans WHERE ServiceName = {service:String} AND SpanKind != {kind:UInt8} "
        "AND TraceId IN (SELECT toFixedString(unhex(arrayJoin({ids:Array(String)})), 16)) "
        "AND Timestamp >= fromUnixTimestamp64Milli({since:Int64}) "
        "AND Timestamp < fromUnixTimestamp64Milli({until:Int64}) LIMIT {limit:UInt32}",
        parameters={
            "service": names.SERVICE_STORE,
            "kind": SERVER_KIND,
            "ids": [row[0] for row in entries],
            "since": min(row[4] for row in entries) // 1_000_000 - margin_ms,
            "until": max(row[4] for row in entries) // 1_000_000 + margin_ms,
            "limit": SPANS_MAX,
        },
    )
    stages: dict[str, list[tuple[str, str, int, int]]] = {}
    for parent, stage, node, start_ns, duration_ns in found.result_rows:
        stages.setdefault(parent, []).append((stage, node, start_ns, duration_ns))
    return stages
