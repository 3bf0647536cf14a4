"""What the rings knew before this process was started, read back from the store.

The rings are memory, and telemetry may be killed at any time. Without their past the first page
would show a quarter of an hour of nothing, an onset could not be told from a start, and whoever
asks for growth would compare with nothing. One question, grouped by the engine, brings some
twenty thousand rows; they are laid into seconds that nobody has reported to this process.
Read next: `telemetry.receiver.rings.Rings.recall`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from telemetry import names
from telemetry.receiver.decode import DELTA, RING_SCALE
from telemetry.receiver.rings import Past, PastTally

ROWS_MAX: Final = 200_000
QUESTION: Final = (
    "SELECT Node, toUnixTimestamp(Timestamp) AS t, MetricName, "
    "if(MetricName = {flush:String}, 'flush', Attributes[{kind:String}]) AS kind, "
    "sum(Value), sum(ZeroCount), "
    "sumMap(arrayMap(at -> toInt32(BucketOffset + at - 1), arrayEnumerate(BucketCounts)), "
    "BucketCounts) FROM metrics WHERE ServiceName = {service:String} "
    "AND MetricName IN {names:Array(String)} "
    "AND (MetricName = {uptime:String} OR Temporality = {delta:UInt8}) "
    "AND (length(BucketCounts) = 0 OR Scale = {scale:Int8}) "
    "AND Timestamp >= fromUnixTimestamp64Milli({since:Int64}) "
    "AND Timestamp < fromUnixTimestamp64Milli({until:Int64}) "
    "GROUP BY Node, t, MetricName, kind ORDER BY Node, t LIMIT {most:UInt32}"
)


def past(client: Client, *, since_ms: int, until_ms: int) -> list[Past]:
    """Each (node, second) that was stored of [since_ms, until_ms), in order. Raises
    ClickHouseError.
    """
    wanted = (names.REQUEST_DURATION, names.REQUESTS_FAILED, names.FLUSH_DURATION, names.UPTIME)
    found = client.query(
        QUESTION,
        parameters={
            "names": [metric.name for metric in wanted],
            "flush": names.FLUSH_DURATION.name,
            "uptime": names.UPTIME.name,
            "kind": names.KIND,
            "service": names.SERVICE_STORE,
            "delta": DELTA,
            "scale": RING_SCALE,
            "since": since_ms,
            "until": until_ms,
            "most": ROWS_MAX,
        },
    )
    return [
        Past(node=node, second=second, tallies=tuple(_tallies(rows)))
        for (node, second), rows in groupby(found.result_rows, key=lambda row: (row[0], row[1]))
    ]


def _tallies(rows: Iterable[Any]) -> Iterable[PastTally]:
    for _, _, metric, kind, value, zero_count, (buckets, counts) in rows:
        if metric == names.UPTIME.name:
            continue  # The node was heard, and that is all.
        is_failed = metric == names.REQUESTS_FAILED.name
        yield PastTally(
            kind=kind or names.KIND_OTHER,
            failed=int(value) if is_failed else 0,
            zero_count=int(zero_count),
            buckets=dict(zip(buckets, counts, strict=True)),
        )
