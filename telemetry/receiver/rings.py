"""The last half hour, second by second and node by node, in memory.

The page that people look at first must not wait for a database, least of all when the disk is
what broke. So each metrics message also lands here: counts, failures and latency buckets of reads
and writes, and flush latencies. A second that nobody reported is None, never zero: silence is not
health. Buckets are those of the OTLP exponential histogram of scale 4, in seconds, and merge by
adding; they are packed as pairs, 16 bytes each.

What always holds: a slot of a ring belongs to one second; a newer second takes it over, an older
one is refused. A second that was read back from the store is whole: a report of it that is sent
once more, because its first answer was lost with the process before, is not counted again. Pure:
time comes in as a number.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

SECONDS_KEPT: Final = 2100
NODES_MAX: Final = 64
"""Names are chosen by senders, so their number is bounded here."""
SCALE: Final = 4
SETTLED_S: Final = 2
"""A second counts as complete after this long; reports leave every second and take a while."""
BUCKETS_MAX: Final = 1024
"""Buckets of one report; 2**-32 to 2**32 seconds at our scale."""
READ: Final = "read"
WRITE: Final = "write"
FLUSH: Final = "flush"

Buckets = dict[int, int]
Series = list[tuple[int, float | None]]


def value_ms(bucket: int) -> float:
    """The middle of a bucket, in milliseconds."""
    return float(2.0 ** ((bucket + 0.5) / (1 << SCALE)) * 1000.0)


ZERO_BUCKET: Final = -(1 << 20)
"""Counts values too small to have a bucket."""


class Tally:
    """Counts of one kind: how many, how many failed, and how long they took."""

    __slots__ = ("count", "failed", "packed")

    def __init__(self) -> None:
        self.count = 0
        self.failed = 0
        self.packed = array("q")

    def add_buckets(self, buckets: Mapping[int, int]) -> None:
        """Count values by bucket."""
        merged = dict(zip(self.packed[::2], self.packed[1::2], strict=True))
        for bucket, count in buckets.items():
            merged[bucket] = merged.get(bucket, 0) + count
            self.count += count
        self.packed = array("q", [part for pair in merged.items() for part in pair])

    def add_to(self, sum_: Sum) -> None:
        """Add these counts to a sum over seconds."""
        sum_.count += self.count
        sum_.failed += self.failed
        buckets = sum_.buckets
        packed = self.packed
        for at in range(0, len(packed), 2):
            bucket = packed[at]
            buckets[bucket] = buckets.get(bucket, 0) + packed[at + 1]


class Sum:
    """Tallies added up over some seconds."""

    __slots__ = ("buckets", "count", "failed")

    def __init__(self) -> None:
        self.count = 0
        self.failed = 0
        self.buckets: Buckets = {}

    def quantile_ms(self, share: float) -> float | None:
        """A quantile in milliseconds, None if there was nothing."""
        return quantile_ms(self.buckets, share)

    def slower_than(self, limit_ms: float) -> int:
        """How many took longer than `limit_ms`, to the width of a bucket."""
        return sum(
            count
            for bucket, count in self.buckets.items()
            if bucket != ZERO_BUCKET and value_ms(bucket) > limit_ms
        )


def quantile_ms(buckets: Mapping[int, int], share: float) -> float | None:
    """The quantile of counts by bucket."""
    total = sum(buckets.values())
    if total == 0:
        return None
    rank = max(1, -int(-share * total // 1))
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= rank:
            return 0.0 if bucket == ZERO_BUCKET else value_ms(bucket)
    raise AssertionError("a rank is never above the total")


class PastTally(NamedTuple):
    """Counts of one kind in a second of the past; `buckets` maps a bucket to its count."""

    kind: str
    failed: int
    zero_count: int
    buckets: Mapping[int, int]


class Past(NamedTuple):
    """All that one node reported in one second (Unix time), before this process was there."""

    node: str
    second: int
    tallies: Sequence[PastTally]


class _Slot:
    __slots__ = ("is_whole", "second", "tallies")

    def __init__(self) -> None:
        self.second = -1
        self.is_whole = False
        self.tallies: dict[str, Tally] = {}


class Rings:
    """One ring of seconds for each node."""

    def __init__(self) -> None:
        self._rings: dict[str, list[_Slot]] = {}
        self.last_ms: dict[str, int] = {}
        self.refused_count = 0

    def add(
        self,
        *,
        node: str,
        time_ms: int,
        kind: str,
        failed: int = 0,
        zero_count: int = 0,
        offset: int = 0,
        bucket_counts: Sequence[int] = (),
    ) -> None:
        """Count one report of one node. Too old, or one node too many: refused and counted."""
        second = time_ms // 1000
        slot = self._slot(node, second)
        if slot is None or second < slot.second or len(bucket_counts) > BUCKETS_MAX:
            self.refused_count += 1
            return
        if second > slot.second:
            slot.second = second
            slot.tallies = {}
            slot.is_whole = False
        if slot.is_whole:
            return
        self.last_ms[node] = max(self.last_ms.get(node, 0), time_ms)
        tally = slot.tallies.setdefault(kind, Tally())
        tally.failed += failed
        buckets = {offset + at: count for at, count in enumerate(bucket_counts) if count}
        if zero_count:
            buckets[ZERO_BUCKET] = zero_count
        tally.add_buckets(buckets)

    def heard(self, node: str, time_ms: int) -> None:
        """A node reported, if only that nothing happened: its second is zero, not unknown."""
        self.add(node=node, time_ms=time_ms, kind="other")

    def recall(self, past: Iterable[Past]) -> int:
        """Lay seconds of the past into slots that nobody has reported to; how many there were."""
        count = 0
        for each in past:
            slot = self._slot(each.node, each.second)
            if slot is None or slot.second >= each.second:
                continue
            slot.second = each.second
            slot.tallies = {}
            slot.is_whole = True
            for told in each.tallies:
                tally = slot.tallies.setdefault(told.kind, Tally())
                tally.failed += told.failed
                tally.add_buckets(
                    {**told.buckets, ZERO_BUCKET: told.zero_count}
                    if told.zero_count
                    else told.buckets
                )
            self.last_ms[each.node] = max(self.last_ms.get(each.node, 0), each.second * 1000)
            count += 1
        return count

    def _slot(self, node: str, second: int) -> _Slot | None:
        """Where a second of a node lies; None: one node too many."""
        ring = self._rings.get(node)
        if ring is None:
            if len(self._rings) >= NODES_MAX:
                return None
            ring = self._rings[node] = [_Slot() for _ in range(SECONDS_KEPT)]
        return ring[second % SECONDS_KEPT]

    @property
    def nodes(self) -> list[str]:
        """The nodes that ever reported."""
        return sorted(self._rings)

    def steps(self, *, now_ms: int, seconds: int, step: int) -> list[int]:
        """Starts of the complete steps of a window, in Unix seconds."""
        last = (now_ms // 1000 - SETTLED_S) // step * step
        first = last - max(1, seconds // step) * step
        return list(range(first, last, step))

    def sum_over(
        self, *, start: int, step: int, kinds: Sequence[str], nodes: Iterable[str]
    ) -> dict[str, Sum] | None:
        """Sums by kind over [start, start + step); None if no node reported in it."""
        sums = {kind: Sum() for kind in kinds}
        heard = False
        for node in nodes:
            ring = self._rings.get(node)
            if ring is None:
                continue
            for second in range(start, start + step):
                slot = ring[second % SECONDS_KEPT]
                if slot.second == second:
                    heard = True
                    for kind, tally in slot.tallies.items():
                        if kind in sums:
                            tally.add_to(sums[kind])
        return sums if heard else None


KINDS: Final = (READ, WRITE, "other")


def now_series(rings: Rings, *, now_ms: int, seconds: int, step: int) -> dict[str, Series]:
    """The curves of the first page."""
    found: dict[str, Series] = {
        name: []
        for name in (
            "requests_per_s",
            "failed_percent",
            "write_p50_ms",
            "write_p99_ms",
            "read_p50_ms",
            "read_p99_ms",
        )
    }
    for start in rings.steps(now_ms=now_ms, seconds=seconds, step=step):
        sums = rings.sum_over(start=start, step=step, kinds=KINDS, nodes=rings.nodes)
        values = dict.fromkeys(found) if sums is None else _now_values(sums, step)
        for name, value in values.items():
            found[name].append((start * 1000, value))
    return found


def _now_values(sums: Mapping[str, Sum], step: int) -> dict[str, float | None]:
    count = sum(each.count for each in sums.values())
    failed = sum(each.failed for each in sums.values())
    return {
        "requests_per_s": count / step,
        "failed_percent": 100.0 * failed / count if count else None,
        "write_p50_ms": sums[WRITE].quantile_ms(0.5),
        "write_p99_ms": sums[WRITE].quantile_ms(0.99),
        "read_p50_ms": sums[READ].quantile_ms(0.5),
        "read_p99_ms": sums[READ].quantile_ms(0.99),
    }


def totals(rings: Rings, *, now_ms: int, seconds: int) -> dict[str, float | None]:
    """The same figures over the whole window, and the counts behind them."""
    steps = rings.steps(now_ms=now_ms, seconds=seconds, step=1)
    sums = rings.sum_over(start=steps[0], step=len(steps), kinds=KINDS, nodes=rings.nodes)
    if sums is None:
        return {}
    return {
        **_now_values(sums, len(steps)),
        "requests": sum(each.count for each in sums.values()),
        "reads": sums[READ].count,
        "writes": sums[WRITE].count,
        "failed": sum(each.failed for each in sums.values()),
    }


MEASURES: Final[Mapping[str, tuple[str, float]]] = {
    "flush_p50_ms": (FLUSH, 0.5),
    "flush_p99_ms": (FLUSH, 0.99),
    "write_p50_ms": (WRITE, 0.5),
    "write_p99_ms": (WRITE, 0.99),
    "read_p50_ms": (READ, 0.5),
    "read_p99_ms": (READ, 0.99),
    "requests_per_s": ("", 0.0),
    "failed_per_s": ("", 0.0),
}
"""What a node's curve may show: kind and quantile, or a rate over all requests."""


def node_series(
    rings: Rings, *, measure: str, now_ms: int, seconds: int, step: int
) -> dict[str, Series]:
    """One curve for each node."""
    kind, share = MEASURES[measure]
    kinds = (kind,) if kind else KINDS
    steps = rings.steps(now_ms=now_ms, seconds=seconds, step=step)
    found: dict[str, Series] = {}
    for node in rings.nodes:
        series: Series = []
        for start in steps:
            sums = rings.sum_over(start=start, step=step, kinds=kinds, nodes=(node,))
            if sums is None:
                value = None
            elif kind:
                value = sums[kind].quantile_ms(share)
            elif measure == "requests_per_s":
                value = sum(each.count for each in sums.values()) / step
            else:
                value = sum(each.failed for each in sums.values()) / step
            series.append((start * 1000, value))
        found[node] = series
    return found


def objective_counts(
    rings: Rings, *, now_ms: int, seconds: int, step: int, write_ms: float, read_ms: float
) -> list[dict[str, int]]:
    """Good and bad requests by step: what burn rates are computed from. Silent steps are absent."""
    found = []
    for start in rings.steps(now_ms=now_ms, seconds=seconds, step=step):
        sums = rings.sum_over(start=start, step=step, kinds=(READ, WRITE), nodes=rings.nodes)
        if sums is not None:
            found.append(
                {
                    "t_ms": start * 1000,
                    "writes": sums[WRITE].count,
                    "writes_failed": sums[WRITE].failed,
                    "writes_slow": sums[WRITE].slower_than(write_ms),
                    "reads": sums[READ].count,
                    "reads_failed": sums[READ].failed,
                    "reads_slow": sums[READ].slower_than(read_ms),
                }
            )
    return found


COLUMNS: Final = (
    "reads", "writes", "failed", "slow_reads", "slow_writes", "read_p50_ms", "read_p99_ms",
    "write_p50_ms", "write_p99_ms", "flush_p50_ms", "flush_p99_ms",
)  # fmt: skip


def node_seconds(
    rings: Rings, *, now_ms: int, seconds: int, write_ms: float, read_ms: float
) -> dict[str, object]:
    """Every second of every node, as columns: `start_s`, and by node one list for each of COLUMNS.

    A second in which the node was not heard is None in every column; slow are requests over the
    objectives' limits.
    """
    steps = rings.steps(now_ms=now_ms, seconds=seconds, step=1)
    nodes: dict[str, dict[str, list[float | None]]] = {}
    for node in rings.nodes:
        columns: dict[str, list[float | None]] = {name: [] for name in COLUMNS}
        for start in steps:
            sums = rings.sum_over(start=start, step=1, kinds=(READ, WRITE, FLUSH), nodes=(node,))
            values = [None] * len(COLUMNS) if sums is None else _columns(sums, write_ms, read_ms)
            for name, value in zip(COLUMNS, values, strict=True):
                columns[name].append(value)
        nodes[node] = columns
    return {"start_s": steps[0], "nodes": nodes}


def _columns(sums: Mapping[str, Sum], write_ms: float, read_ms: float) -> list[float | None]:
    read, write, flush = sums[READ], sums[WRITE], sums[FLUSH]
    quantiles = [each.quantile_ms(share) for each in (read, write, flush) for share in (0.5, 0.99)]
    return [
        read.count,
        write.count,
        read.failed + write.failed,
        read.slower_than(read_ms),
        write.slower_than(write_ms),
        *(None if value is None else round(value, 3) for value in quantiles),
    ]
