"""Timing every stage of every request, and keeping the few requests worth looking at.

A span of the OpenTelemetry SDK costs 15-40 us, which a storage request cannot pay. So a request
carries a StageClock: one monotonic stamp per stage, about 0.1 us each. Stages are exclusive: a
stamp closes the interval since the stamp before it, so the stages of a request always add up to
its wall time. When the request ends, Recorder.finish counts each stage in a histogram (all
requests, no exception) and decides whether this one is kept: it failed, it was slow, its caller
asked, or a steady random draw picked it. A token bucket per reason bounds what is kept; what the
bucket refused is added to the weight of the next one kept, so that nothing is lost silently.

Kept records become real SDK spans later, on another thread (otlp/spans.py). Nothing of the SDK
is imported here: bootstrap.py brings the two together.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic_ns
from typing import Final, NamedTuple, Protocol

from telemetry import names
from telemetry.account_counts import Accounts
from telemetry.config import Settings
from telemetry.metrics import Counter, Exemplar, Histogram, MetricSet
from telemetry.stage_clock import AttributeValue, StageClock, StageTime, new_span_id

__all__ = ["KeptRecord", "Recorder", "RemoteStage", "StageClock", "StageTime", "TokenBucket"]

LATER_MAX: Final = 256
"""Kept requests that wait for other nodes' stages at one time."""
LATER_WAIT_S: Final = 1.2
"""A little longer than the store itself waits, so that its partial answer still counts."""
SAMPLED_FLAG: Final = 1

FAILED: Final = 0
SLOW: Final = 1
ASKED: Final = 2
RANDOM: Final = 3
REASON_NAMES: Final = ("failed", "slow", "asked", "random")
RATES_PER_S: Final = (20.0, 20.0, 20.0, 10.0)
"""Records kept each second, by reason. About 20 spans each; an encoded span costs 50 us."""
BURST_S: Final = 2.0

log = logging.getLogger(__name__)


class RemoteStage(Protocol):
    """What another node did for this request; the front end's port has the tuple."""

    @property
    def node(self) -> int: ...
    @property
    def stage(self) -> int: ...
    @property
    def start_ns(self) -> int: ...
    @property
    def end_ns(self) -> int: ...
    @property
    def batch_id(self) -> int: ...


Later = Callable[[], Awaitable[Sequence[RemoteStage]]]


class KeptRecord(NamedTuple):
    """One request worth a trace, complete but for its encoding. Times are monotonic."""

    operation: int
    trace_id: int
    span_id: int
    parent_span_id: int
    start_ns: int
    end_ns: int
    stages: list[StageTime]
    folded: dict[int, int]
    status: int
    error: str
    bytes_in: int
    bytes_out: int
    reason: str
    weight: float
    attributes: dict[str, AttributeValue]
    wall_offset_ns: int
    """Add it to a monotonic time to get a Unix time."""
    remote: tuple[RemoteStage, ...]
    remote_complete: bool


class Sink(Protocol):
    """Takes kept records off the hot loop. False: no room, the caller counts the loss."""

    def offer(self, record: KeptRecord) -> bool: ...


class TokenBucket:
    """At most `rate_per_s` on average and `burst` at once. Counts what it refused."""

    __slots__ = ("_at_ns", "_burst", "_rate_per_ns", "_tokens", "refused_count")

    def __init__(self, *, rate_per_s: float, burst: float, now_ns: int) -> None:
        self._rate_per_ns = rate_per_s / 1e9
        self._burst = burst
        self._tokens = burst
        self._at_ns = now_ns
        self.refused_count = 0
        """Refused since the last one taken."""

    def take(self, now_ns: int) -> int:
        """How many this one stands for (itself and those refused before it), or 0: refused."""
        if now_ns > self._at_ns:
            grown = self._tokens + (now_ns - self._at_ns) * self._rate_per_ns
            self._tokens = min(self._burst, grown)
            self._at_ns = now_ns
        if self._tokens < 1.0:
            self.refused_count += 1
            return 0
        self._tokens -= 1.0
        stands_for, self.refused_count = 1 + self.refused_count, 0
        return stands_for


class _OperationRow:
    """The instruments of one operation, so that finish() looks up one list."""

    __slots__ = ("bytes_in", "bytes_out", "failed", "kind", "slow_ns", "stages", "total")

    def __init__(self, metrics: MetricSet, operation: int, kind: str, slow_ns: int) -> None:
        attributes = {names.OPERATION: names.OPERATION_NAMES[operation], names.KIND: kind}
        self.kind = kind
        self.slow_ns = slow_ns
        self.total = metrics.histogram(names.REQUEST_DURATION, attributes)
        self.failed = metrics.counter(names.REQUESTS_FAILED, attributes)
        self.bytes_in = metrics.counter(names.REQUEST_BYTES, attributes)
        self.bytes_out = metrics.counter(names.RESPONSE_BYTES, attributes)
        self.stages: list[Histogram | None] = [None] * names.STAGE_COUNT


class Recorder:
    """Ends requests: counts all of them, keeps some. Owned by one event loop."""

    def __init__(
        self,
        service: str,
        node: str,
        settings: Settings,
        *,
        metrics: MetricSet | None = None,
        sink: Sink | None = None,
        draw: Callable[[], float] = random.random,
        now_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self.service = service
        self.node = node
        self.metrics = MetricSet() if metrics is None else metrics
        self._sink = sink
        self._draw = draw
        self._ratio = settings.trace_random_ratio
        self._slow_write_ns = settings.slow_write_ms * 1_000_000
        self._slow_read_ns = settings.slow_read_ms * 1_000_000
        self._rows: list[_OperationRow | None] = [None] * names.LANES_END
        self._accounts = Accounts(self.metrics)
        self._buckets = [
            TokenBucket(rate_per_s=rate, burst=rate * BURST_S, now_ns=now_ns())
            for rate in RATES_PER_S
        ]
        self._kept = self._counters(names.TRACES_KEPT, names.REASON, REASON_NAMES)
        self._suppressed = self._counters(names.TRACES_SUPPRESSED, names.REASON, REASON_NAMES)
        self._dropped = self.metrics.counter(names.SIGNALS_DROPPED, {names.WHAT: "record"})
        self._remote_missing = self.metrics.counter(
            names.SIGNALS_DROPPED, {names.WHAT: "remote_stages"}
        )
        self._waiting: set[asyncio.Task[None]] = set()

    def finish(
        self,
        clock: StageClock,
        *,
        status: int,
        bytes_in: int = 0,
        bytes_out: int = 0,
        error: str = "",
        later: Later | None = None,
    ) -> int:
        """Count one ended request; returns its trace id if it is kept, else 0.

        `status` is the HTTP status, 500 and above is a failure of ours. `later` is asked only if
        the request is kept, and needs a running event loop.
        """
        row = self._rows[clock.lane + clock.operation] or self._open(clock.lane, clock.operation)
        last_ns = start_ns = clock.start_ns
        spent: dict[int, int] = {}
        if clock.folded is not None:
            spent.update(clock.folded)
            last_ns = clock.folded_until_ns
        for stage, at_ns in clock.marks:
            if at_ns > last_ns:
                earlier_ns = spent[stage] if stage in spent else 0
                spent[stage] = earlier_ns + at_ns - last_ns
                last_ns = at_ns
        stages = row.stages
        for stage, value_ns in spent.items():
            histogram = stages[stage] or self._open_stage(row, clock, stage)
            shift = value_ns.bit_length() - 6
            try:
                histogram.counts[
                    value_ns if shift <= 0 else (shift << 5) + (value_ns >> shift)
                ] += 1
            except IndexError:
                histogram.counts[-1] += 1
            histogram.sum_ns += value_ns
        total_ns = last_ns - start_ns
        row.total.record(total_ns)
        row.bytes_in.value += bytes_in
        row.bytes_out.value += bytes_out
        if clock.account:
            self._accounts.count(clock.account, row.kind, total_ns, bytes_in + bytes_out)
        # What a limit refuses on purpose is no failure, and no room for a real one's trace.
        failed = status >= 500 and clock.lane != names.LANE_THROTTLED
        drawn = self._draw() < self._ratio
        slow = total_ns > row.slow_ns
        if failed:
            row.failed.value += 1
        elif not (drawn or slow or clock.flags & SAMPLED_FLAG):
            return 0
        kept = self._choose(drawn=drawn, failed=failed, slow=slow, clock=clock, at=last_ns)
        if kept is None:
            return 0
        record = self._record(clock, kept, status, error, bytes_in, bytes_out)
        row.total.exemplar = Exemplar(
            record.trace_id, record.span_id, total_ns, last_ns + record.wall_offset_ns
        )
        self._send(record, later)
        return record.trace_id

    def totals(self) -> dict[str, int]:
        """Requests since the start: read, write, failed."""
        found = {names.KIND_READ: 0, names.KIND_WRITE: 0, "failed": 0}
        for row in self._rows[: names.LANE_CANARY]:
            if row is not None:
                if row.kind in found:
                    found[row.kind] += row.total.count
                found["failed"] += row.failed.value
        return found

    def _open(self, lane: int, operation: int) -> _OperationRow:
        slow_ns = self._slow_read_ns if operation in names.READS else self._slow_write_ns
        kind = names.kind_in(lane, operation)
        row = _OperationRow(self.metrics, operation, kind, slow_ns)
        self._rows[lane + operation] = row
        return row

    def _open_stage(self, row: _OperationRow, clock: StageClock, stage: int) -> Histogram:
        attributes = {
            names.OPERATION: names.OPERATION_NAMES[clock.operation],
            names.STAGE: names.STAGE_NAMES[stage],
        }
        if clock.lane:
            attributes[names.KIND] = row.kind
        histogram = self.metrics.histogram(names.STAGE_DURATION, attributes, often=False)
        row.stages[stage] = histogram
        return histogram

    def _counters(
        self, metric: names.Metric, attribute: str, values: Sequence[str]
    ) -> list[Counter]:
        return [self.metrics.counter(metric, {attribute: value}) for value in values]

    def _choose(
        self, *, drawn: bool, failed: bool, slow: bool, clock: StageClock, at: int
    ) -> tuple[str, float] | None:
        # The random draw goes first: baselines need every drawn request, slow and failed ones too.
        wanted = (
            (RANDOM, drawn),
            (FAILED, failed),
            (SLOW, slow),
            (ASKED, bool(clock.flags & SAMPLED_FLAG)),
        )
        for reason, holds in wanted:
            if holds:
                stands_for = self._buckets[reason].take(at)
                if stands_for:
                    self._kept[reason].value += 1
                    weight = stands_for / self._ratio if reason == RANDOM else float(stands_for)
                    return REASON_NAMES[reason], weight
                self._suppressed[reason].value += 1
        return None

    def _record(
        self,
        clock: StageClock,
        kept: tuple[str, float],
        status: int,
        error: str,
        bytes_in: int,
        bytes_out: int,
    ) -> KeptRecord:
        return KeptRecord(
            operation=clock.operation,
            trace_id=clock.identify(),
            span_id=new_span_id(),
            parent_span_id=clock.parent_span_id,
            start_ns=clock.start_ns,
            end_ns=clock.end_ns,
            stages=clock.stages,
            folded=dict(clock.folded or {}),
            status=status,
            error=error,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            reason=kept[0],
            weight=kept[1],
            attributes=_attributes_of(clock),
            wall_offset_ns=time.time_ns() - monotonic_ns(),
            remote=(),
            remote_complete=True,
        )

    def _send(self, record: KeptRecord, later: Later | None) -> None:
        if later is None or self._sink is None:
            self._offer(record)
        elif len(self._waiting) >= LATER_MAX:
            self._remote_missing.value += 1
            self._offer(record._replace(remote_complete=False))
        else:
            task = asyncio.get_running_loop().create_task(self._send_later(record, later))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def _send_later(self, record: KeptRecord, later: Later) -> None:
        try:
            async with asyncio.timeout(LATER_WAIT_S):
                remote = tuple(await later())
        except Exception as error:  # The trace is worth having without the other nodes' part.
            self._remote_missing.value += 1
            log.info(
                "other nodes' stages are missing",
                extra={"trace_id": f"{record.trace_id:032x}", "error": repr(error)},
            )
            self._offer(record._replace(remote_complete=False))
        else:
            self._offer(record._replace(remote=remote))

    def _offer(self, record: KeptRecord) -> None:
        if self._sink is not None and not self._sink.offer(record):
            self._dropped.value += 1


def _attributes_of(clock: StageClock) -> dict[str, AttributeValue]:
    """What the request's span says beside its times."""
    attributes = dict(clock.attributes or {})
    if clock.account:
        attributes[names.ACCOUNT] = clock.account
    if clock.lane:
        attributes[names.KIND] = names.kind_in(clock.lane, clock.operation)
    return attributes
