"""Counting everything that happens to every request, for a fraction of a microsecond each.

A histogram here is a list of counters. The bucket of a value is found with a shift: values below
64 ns have a bucket each, and every octave above is cut into 32 equal parts (log-linear), so a
bucket is at most 3.2 % wide and no logarithm is taken on the hot path. Histograms with the same
buckets merge by adding, and leave the process as OTLP exponential histograms.

What always holds: one thread writes a given instrument (the loop that owns it); any thread may
read. A reader copies the list in one step and never resets it, so that no count is lost between
a read and a reset; what is exported is the difference between two copies.
Read next: tracing.py, which writes these for each request; otlp/metrics.py, which sends them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from telemetry.names import Metric

SUB_BITS: Final = 5
"""Each octave is cut into 2**5 parts."""
SUB_COUNT: Final = 1 << SUB_BITS
OCTAVE_MAX: Final = 40
"""Values from 2**40 ns (18 minutes) on share the last bucket."""
BUCKET_COUNT: Final = ((OCTAVE_MAX - SUB_BITS) << SUB_BITS) + SUB_COUNT
INSTRUMENTS_MAX: Final = 4096
"""Distinct instruments in one process: a label that takes any value is a bug, found here."""

Attributes = Mapping[str, str | int]


def bucket_of(value_ns: int) -> int:
    """The bucket that counts a value; below zero counts as zero."""
    shift = value_ns.bit_length() - SUB_BITS - 1
    if shift <= 0:
        return max(value_ns, 0)
    return min((shift << SUB_BITS) + (value_ns >> shift), BUCKET_COUNT - 1)


def bucket_low(bucket: int) -> int:
    """The smallest value that a bucket counts."""
    assert 0 <= bucket <= BUCKET_COUNT, bucket
    if bucket < 2 * SUB_COUNT:
        return bucket
    shift = (bucket >> SUB_BITS) - 1
    return (SUB_COUNT + (bucket & (SUB_COUNT - 1))) << shift


def bucket_middle(bucket: int) -> float:
    """The value that stands for all values of a bucket."""
    low = bucket_low(bucket)
    return float(low) if bucket < 2 * SUB_COUNT else (low + bucket_low(bucket + 1)) / 2


class Exemplar(NamedTuple):
    """One kept request behind a histogram, so that a figure leads to a trace."""

    trace_id: int
    span_id: int
    value_ns: int
    time_unix_ns: int


class Histogram:
    """Counts of durations in nanoseconds, by log-linear bucket."""

    __slots__ = ("counts", "exemplar", "sum_ns")

    def __init__(self) -> None:
        self.counts = [0] * BUCKET_COUNT
        self.sum_ns = 0
        self.exemplar: Exemplar | None = None

    def record(self, value_ns: int) -> None:
        """Count one value. Recorder.finish repeats these lines in place, for speed."""
        shift = value_ns.bit_length() - 6
        try:
            self.counts[value_ns if shift <= 0 else (shift << 5) + (value_ns >> shift)] += 1
        except IndexError:
            self.counts[-1] += 1
        self.sum_ns += value_ns

    def merge(self, other: Histogram) -> None:
        """Add what another one counted."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.sum_ns += other.sum_ns

    @property
    def count(self) -> int:
        """How many values were counted."""
        return sum(self.counts)

    def quantile_ns(self, share: float) -> float | None:
        """The value that `share` of the counted values don't pass; None if nothing was counted."""
        return quantile_of(list(enumerate(self.counts)), share)


def quantile_of(buckets: Sequence[tuple[int, int]], share: float) -> float | None:
    """The quantile of (bucket, count) pairs in ascending order, in nanoseconds."""
    assert 0.0 <= share <= 1.0, share
    total = sum(count for _, count in buckets)
    if total == 0:
        return None
    # The nearest-rank definition: the smallest value with at least share * total at or below it.
    rank = max(1, -int(-share * total // 1))
    seen = 0
    for bucket, count in buckets:
        seen += count
        if seen >= rank:
            return bucket_middle(bucket)
    raise AssertionError("a rank is never above the total")


class Counter:
    """A number that only grows. `value` may be added to in place by its one writer."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int = 1) -> None:
        """Count `amount` more."""
        assert amount >= 0, "counters never go back"
        self.value += amount


class HistogramDelta(NamedTuple):
    """What a histogram counted since the last collection: (bucket, count), ascending."""

    metric: Metric
    attributes: Attributes
    buckets: list[tuple[int, int]]
    sum_ns: int
    exemplar: Exemplar | None


class CounterDelta(NamedTuple):
    """How far a counter has grown since the last collection."""

    metric: Metric
    attributes: Attributes
    amount: int


class GaugeValue(NamedTuple):
    """What a gauge showed when it was asked."""

    metric: Metric
    attributes: Attributes
    value: float


class Collected(NamedTuple):
    """One collection: only what has moved, and every gauge that had an answer."""

    histograms: list[HistogramDelta]
    counters: list[CounterDelta]
    gauges: list[GaugeValue]


class _HistogramSlot:
    __slots__ = ("attributes", "before", "before_sum_ns", "histogram", "metric", "often")

    def __init__(self, metric: Metric, attributes: Attributes, often: bool) -> None:
        self.metric = metric
        self.attributes = attributes
        self.often = often
        self.histogram = Histogram()
        self.before = list(self.histogram.counts)
        self.before_sum_ns = 0

    def delta(self) -> HistogramDelta | None:
        histogram = self.histogram
        counts, sum_ns = histogram.counts[:], histogram.sum_ns
        if counts == self.before:
            return None
        before = self.before
        buckets: list[tuple[int, int]] = []
        # Most octaves are untouched; comparing slices skips each in one step.
        for low in range(0, BUCKET_COUNT, SUB_COUNT):
            high = low + SUB_COUNT
            if counts[low:high] != before[low:high]:
                buckets += [
                    (at, counts[at] - before[at])
                    for at in range(low, high)
                    if counts[at] != before[at]
                ]
        grown_ns = sum_ns - self.before_sum_ns
        self.before, self.before_sum_ns = counts, sum_ns
        exemplar, histogram.exemplar = histogram.exemplar, None
        return HistogramDelta(self.metric, self.attributes, buckets, grown_ns, exemplar)


class MetricSet:
    """All instruments of one process. Asking twice for the same one gives the same one."""

    def __init__(self) -> None:
        self._histograms: dict[tuple[object, ...], _HistogramSlot] = {}
        self._counters: dict[tuple[object, ...], tuple[Metric, Attributes, Counter]] = {}
        self._counted: dict[tuple[object, ...], int] = {}
        self._gauges: dict[
            tuple[object, ...], tuple[Metric, Attributes, Callable[[], float | None]]
        ] = {}

    def histogram(
        self, metric: Metric, attributes: Attributes | None = None, *, often: bool = True
    ) -> Histogram:
        """A histogram; `often` is for those that live pages show each second."""
        assert metric.shape == "histogram", metric
        key = _key(metric, attributes)
        slot = self._histograms.get(key)
        if slot is None:
            self._check_room()
            slot = self._histograms[key] = _HistogramSlot(metric, attributes or {}, often)
        return slot.histogram

    def counter(self, metric: Metric, attributes: Attributes | None = None) -> Counter:
        """A counter."""
        assert metric.shape == "counter", metric
        key = _key(metric, attributes)
        if key not in self._counters:
            self._check_room()
            self._counters[key] = (metric, attributes or {}, Counter())
            self._counted[key] = 0
        return self._counters[key][2]

    def gauge(
        self,
        metric: Metric,
        callback: Callable[[], float | None],
        attributes: Attributes | None = None,
    ) -> None:
        """A gauge: `callback` is asked once a second, on the exporter's thread; None = no answer.

        A callback must only read: a number, an attribute, a length.
        """
        assert metric.shape == "gauge", metric
        self._check_room()
        self._gauges[_key(metric, attributes)] = (metric, attributes or {}, callback)

    def histograms_of(self, metric: Metric) -> list[tuple[Attributes, Histogram]]:
        """Every histogram of one metric with its attributes."""
        slots = list(self._histograms.values())
        return [(slot.attributes, slot.histogram) for slot in slots if slot.metric == metric]

    def counters_of(self, metric: Metric) -> list[tuple[Attributes, Counter]]:
        """Every counter of one metric with its attributes."""
        return [
            (attributes, counter)
            for known, attributes, counter in list(self._counters.values())
            if known == metric
        ]

    def collect(self, *, rarely: bool) -> Collected:
        """What moved since the last call; `rarely` also collects what is not shown live."""
        histograms = []
        for slot in list(self._histograms.values()):
            if slot.often or rarely:
                delta = slot.delta()
                if delta is not None:
                    histograms.append(delta)
        counters = []
        for key, (metric, attributes, counter) in list(self._counters.items()):
            value = counter.value
            grown, self._counted[key] = value - self._counted[key], value
            if grown:
                counters.append(CounterDelta(metric, attributes, grown))
        gauges = []
        for metric, attributes, callback in list(self._gauges.values()):
            shown = callback()
            if shown is not None:
                gauges.append(GaugeValue(metric, attributes, shown))
        return Collected(histograms, counters, gauges)

    def _check_room(self) -> None:
        count = len(self._histograms) + len(self._counters) + len(self._gauges)
        assert count < INSTRUMENTS_MAX, "a metric attribute takes too many values"


def _key(metric: Metric, attributes: Attributes | None) -> tuple[object, ...]:
    return (metric.name, *sorted((attributes or {}).items()))
