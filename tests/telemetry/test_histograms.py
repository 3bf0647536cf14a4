import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import names
from telemetry.metrics import (
    BUCKET_COUNT,
    Histogram,
    MetricSet,
    bucket_low,
    bucket_middle,
    bucket_of,
)
from telemetry.otlp.messages import EXPONENTIAL_INDEX, SCALE, metrics_request, resource_of
from telemetry.receiver import rings

durations_ns = st.integers(min_value=0, max_value=1 << 39)


def naive_quantile(values: list[int], share: float) -> int:
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


@given(durations_ns)
def test_a_bucket_holds_its_value_and_is_narrow(value_ns: int) -> None:
    bucket = bucket_of(value_ns)

    assert bucket_low(bucket) <= value_ns < bucket_low(bucket + 1)
    assert bucket_low(bucket + 1) - bucket_low(bucket) <= max(1, value_ns / 32)


def test_buckets_follow_each_other_without_a_gap() -> None:
    lows = [bucket_low(bucket) for bucket in range(BUCKET_COUNT + 1)]

    assert lows == sorted(set(lows))
    assert all(bucket_of(low) == bucket for bucket, low in enumerate(lows[:-1]))


@given(st.lists(durations_ns, min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1]))
def test_a_quantile_is_that_of_the_sorted_values_to_a_bucket(
    values: list[int], share: float
) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value)

    found = histogram.quantile_ns(share)

    assert found is not None
    assert bucket_of(naive_quantile(values, share)) == bucket_of(int(found))
    assert histogram.count == len(values)
    assert histogram.sum_ns == sum(values)


@given(st.lists(durations_ns, max_size=50), st.lists(durations_ns, max_size=50))
def test_merged_histograms_are_the_histogram_of_both(first: list[int], second: list[int]) -> None:
    one, other, both = Histogram(), Histogram(), Histogram()
    for histogram, values in ((one, first), (other, second), (both, first + second)):
        for value in values:
            histogram.record(value)

    one.merge(other)

    assert one.counts == both.counts
    assert one.sum_ns == both.sum_ns


def test_a_value_beyond_the_last_bucket_is_counted_in_it() -> None:
    histogram = Histogram()

    histogram.record(1 << 60)

    assert histogram.counts[-1] == 1


def test_nothing_counted_has_no_quantile() -> None:
    assert Histogram().quantile_ns(0.5) is None


@given(st.lists(st.integers(min_value=1_000, max_value=1 << 36), min_size=1, max_size=100))
def test_what_arrives_over_otlp_is_within_five_percent(values: list[int]) -> None:
    metrics = MetricSet()
    histogram = metrics.histogram(names.FLUSH_DURATION)
    for value in values:
        histogram.record(value)

    request = metrics_request(
        metrics.collect(rarely=True),
        resource=resource_of("storage", "node-0", 1),
        start_unix_ns=1,
        now_unix_ns=2,
    )
    (metric,) = request.resource_metrics[0].scope_metrics[0].metrics
    (point,) = metric.exponential_histogram.data_points
    buckets = {
        point.positive.offset + at: count for at, count in enumerate(point.positive.bucket_counts)
    }

    assert point.count == len(values)
    assert point.scale == SCALE
    for share in (0.5, 0.99):
        wanted_ms = naive_quantile(values, share) / 1e6
        assert rings.quantile_ms(buckets, share) == pytest.approx(wanted_ms, rel=0.05)


def test_exponential_indexes_hold_the_middle_of_their_bucket() -> None:
    for bucket in range(1, BUCKET_COUNT):
        seconds, index = bucket_middle(bucket) * 1e-9, EXPONENTIAL_INDEX[bucket]

        assert 2 ** (index / 16) <= seconds * (1 + 1e-9)
        assert seconds <= 2 ** ((index + 1) / 16) * (1 + 1e-9)


def test_a_collection_holds_what_was_counted_since_the_last_and_nothing_twice() -> None:
    metrics = MetricSet()
    histogram = metrics.histogram(names.FLUSH_DURATION, {"disk": "a"})
    counter = metrics.counter(names.REQUESTS_FAILED)
    metrics.gauge(names.RAFT_TERM, lambda: 7)
    metrics.gauge(names.CACHE_BYTES, lambda: None)
    histogram.record(100)
    counter.add(2)

    first, second = metrics.collect(rarely=True), metrics.collect(rarely=True)

    assert [delta.buckets for delta in first.histograms] == [[(bucket_of(100), 1)]]
    assert [delta.sum_ns for delta in first.histograms] == [100]
    assert [delta.amount for delta in first.counters] == [2]
    assert [shown.value for shown in first.gauges] == [7]
    assert (second.histograms, second.counters) == ([], [])


def test_what_is_not_shown_live_is_collected_rarely_and_completely() -> None:
    metrics = MetricSet()
    histogram = metrics.histogram(names.STAGE_DURATION, often=False)
    histogram.record(1)

    often = metrics.collect(rarely=False)
    histogram.record(2)
    rarely = metrics.collect(rarely=True)

    assert often.histograms == []
    assert rarely.histograms[0].buckets == [(1, 1), (2, 1)]


def test_asking_twice_gives_the_same_instrument() -> None:
    metrics = MetricSet()

    assert metrics.counter(names.TRACES_KEPT, {"a": 1, "b": 2}) is metrics.counter(
        names.TRACES_KEPT, {"b": 2, "a": 1}
    )
    assert metrics.counter(names.TRACES_KEPT) is not metrics.counter(names.TRACES_KEPT, {"a": 1})


def test_names_of_metrics_carry_a_unit_and_a_shape() -> None:
    for name, metric in names.METRICS.items():
        assert name == metric.name
        assert metric.unit
        assert metric.shape in ("histogram", "counter", "gauge")
        assert metric.meaning.endswith(".")
