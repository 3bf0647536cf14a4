import asyncio
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import names
from telemetry.config import Settings
from telemetry.tracing import (
    LATER_MAX,
    RATES_PER_S,
    KeptRecord,
    Later,
    Recorder,
    StageClock,
    TokenBucket,
)

MS = 1_000_000


class Stage(NamedTuple):
    node: int
    stage: int
    start_ns: int
    end_ns: int
    batch_id: int


class Kept(list[KeptRecord]):
    """A sink with room for `room` records."""

    def __init__(self, room: int = 1_000) -> None:
        super().__init__()
        self.room = room

    def offer(self, record: KeptRecord) -> bool:
        if len(self) >= self.room:
            return False
        self.append(record)
        return True


def make_clock(
    *, operation: int = names.PUT_BLOB, start_ns: int = 0, took_ns: int = MS
) -> StageClock:
    clock = StageClock(operation, start_ns=start_ns)
    clock.stamp_all((names.RECEIVE, start_ns + took_ns // 2))
    clock.stamp_all((names.RESPOND, start_ns + took_ns))
    return clock


def make_recorder(
    settings: Settings, kept: Kept, *, draws: float = 1.0, ratio: float = 0.01
) -> Recorder:
    return Recorder(
        "storage",
        "node-0",
        replace(settings, trace_random_ratio=ratio),
        sink=kept,
        draw=lambda: draws,
        now_ns=lambda: 0,
    )


def counted(recorder: Recorder, metric: names.Metric, **attributes: str) -> int:
    for found, counter in recorder.metrics.counters_of(metric):
        if found == attributes:
            return counter.value
    raise AssertionError(attributes)


def test_an_ordinary_request_is_counted_and_not_kept(settings: Settings) -> None:
    kept = Kept()
    recorder = make_recorder(settings, kept)

    trace_id = recorder.finish(make_clock(), status=201, bytes_in=10, bytes_out=3)

    assert trace_id == 0
    assert kept == []
    assert recorder.totals() == {"read": 0, "write": 1, "failed": 0}
    deltas = recorder.metrics.collect(rarely=True).histograms
    sums = {(d.metric.name, d.attributes.get(names.STAGE, "")): d.sum_ns for d in deltas}
    assert sums == {
        ("holdfast.request.duration", ""): MS,
        ("holdfast.stage.duration", "receive"): MS // 2,
        ("holdfast.stage.duration", "respond"): MS // 2,
    }


@given(st.lists(st.tuples(st.integers(0, 16), st.integers(0, 1 << 45)), max_size=40))
def test_stage_sums_of_all_requests_are_their_wall_time(
    settings_free: Settings, stamps: list[tuple[int, int]]
) -> None:
    recorder = make_recorder(settings_free, Kept())
    clock = StageClock(names.GET_BLOB, start_ns=5)
    for stage, at_ns in stamps:
        clock.stamp_all((stage, at_ns))

    recorder.finish(clock, status=200)

    of_stages = recorder.metrics.histograms_of(names.STAGE_DURATION)
    ((_, total),) = recorder.metrics.histograms_of(names.REQUEST_DURATION)
    assert sum(histogram.sum_ns for _, histogram in of_stages) == total.sum_ns == clock.total_ns


@pytest.mark.parametrize(
    ("operation", "took_ms", "status", "reason"),
    [
        (names.PUT_BLOB, 51, 201, "slow"),
        (names.GET_BLOB, 21, 200, "slow"),
        (names.GET_BLOB, 1, 500, "failed"),
        (names.GET_BLOB, 100, 503, "failed"),
    ],
)
def test_failed_and_slow_requests_are_kept(
    settings: Settings, operation: int, took_ms: int, status: int, reason: str
) -> None:
    kept = Kept()
    recorder = make_recorder(settings, kept)
    clock = make_clock(operation=operation, took_ns=took_ms * MS)

    trace_id = recorder.finish(clock, status=status, error="ServerBusy")

    (record,) = kept
    assert record.trace_id == trace_id != 0
    assert (record.reason, record.weight, record.status) == (reason, 1.0, status)
    assert record.end_ns - record.start_ns == took_ms * MS


@pytest.mark.parametrize(("operation", "took_ms"), [(names.PUT_BLOB, 49), (names.GET_BLOB, 19)])
def test_a_request_below_its_threshold_is_not_kept(
    settings: Settings, operation: int, took_ms: int
) -> None:
    kept = Kept()

    make_recorder(settings, kept).finish(
        make_clock(operation=operation, took_ns=took_ms * MS), status=404, error="BlobNotFound"
    )

    assert kept == []


def test_a_caller_that_asks_gets_its_own_trace(settings: Settings) -> None:
    kept = Kept()
    clock = make_clock()
    clock.follow("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    clock.set("holdfast.log_index", 7)

    make_recorder(settings, kept).finish(clock, status=201)

    (record,) = kept
    assert record.reason == "asked"
    assert f"{record.trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert f"{record.parent_span_id:016x}" == "00f067aa0ba902b7"
    assert record.attributes == {"holdfast.log_index": 7}


def test_the_random_draw_goes_before_all_other_reasons(settings: Settings) -> None:
    kept = Kept()

    make_recorder(settings, kept, draws=0.0, ratio=0.02).finish(make_clock(), status=503)

    assert [(record.reason, record.weight) for record in kept] == [("random", 50.0)]


def test_what_the_rate_refused_is_counted_and_weighs_on_the_next(settings: Settings) -> None:
    kept = Kept()
    recorder = make_recorder(settings, kept)
    burst = int(RATES_PER_S[0] * 2)
    for _ in range(burst + 10):
        recorder.finish(make_clock(), status=500)

    recorder.finish(make_clock(start_ns=10**9), status=500)

    assert len(kept) == burst + 1
    assert kept[-1].weight == 11.0
    assert sum(record.weight for record in kept) == burst + 11
    assert counted(recorder, names.TRACES_KEPT, **{names.REASON: "failed"}) == burst + 1
    assert counted(recorder, names.TRACES_SUPPRESSED, **{names.REASON: "failed"}) == 10
    assert recorder.totals()["failed"] == burst + 11


def test_a_kept_request_is_the_exemplar_of_its_histogram(settings: Settings) -> None:
    kept = Kept()
    recorder = make_recorder(settings, kept)

    recorder.finish(make_clock(took_ns=60 * MS), status=201)

    ((_, histogram),) = recorder.metrics.histograms_of(names.REQUEST_DURATION)
    assert histogram.exemplar is not None
    assert histogram.exemplar.trace_id == kept[0].trace_id
    assert histogram.exemplar.span_id == kept[0].span_id
    assert histogram.exemplar.value_ns == 60 * MS


def test_a_full_sink_is_counted(settings: Settings) -> None:
    recorder = make_recorder(settings, Kept(room=0))

    recorder.finish(make_clock(), status=500)

    assert counted(recorder, names.SIGNALS_DROPPED, **{names.WHAT: "record"}) == 1


def finish_with(recorder: Recorder, later: Later, times: int = 1) -> None:
    async def run() -> None:
        for _ in range(times):
            recorder.finish(make_clock(), status=500, later=later)
        while recorder._waiting:
            await asyncio.gather(*recorder._waiting)

    asyncio.run(run())


def test_other_nodes_stages_are_waited_for(settings: Settings) -> None:
    kept = Kept()
    stages = [Stage(1, names.PEER_FLUSH, 1, 2, 9), Stage(2, names.PEER_FLUSH, 1, 3, 9)]

    async def later() -> list[Stage]:
        return stages

    finish_with(make_recorder(settings, kept), later)

    assert kept[0].remote == tuple(stages)
    assert kept[0].remote_complete


def test_a_request_is_kept_even_if_the_other_nodes_stay_silent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telemetry.tracing.LATER_WAIT_S", 0.01)
    kept = Kept()
    recorder = make_recorder(settings, kept)

    async def never() -> list[Stage]:
        await asyncio.Event().wait()
        return []

    async def broken() -> list[Stage]:
        raise RuntimeError("no such batch")

    finish_with(recorder, never)
    finish_with(recorder, broken)

    assert [record.remote_complete for record in kept] == [False, False]
    assert counted(recorder, names.SIGNALS_DROPPED, **{names.WHAT: "remote_stages"}) == 2


def test_only_so_many_requests_wait_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telemetry.tracing.RATES_PER_S", (1000.0,) * 4)
    kept = Kept()
    recorder = make_recorder(settings, kept)

    async def later() -> list[Stage]:
        return []

    finish_with(recorder, later, times=LATER_MAX + 3)

    assert len(kept) == LATER_MAX + 3
    assert [record.remote_complete for record in kept].count(False) == 3


def test_a_request_that_is_not_kept_never_asks_the_other_nodes(settings: Settings) -> None:
    asked = []

    async def later() -> list[Stage]:
        asked.append(True)
        return []

    recorder = make_recorder(settings, Kept())
    recorder.finish(make_clock(), status=201, later=later)

    assert asked == []


@given(
    st.lists(st.integers(min_value=0, max_value=500 * MS), max_size=200),
    st.floats(min_value=0.5, max_value=50),
)
def test_a_bucket_never_gives_more_than_burst_and_rate_and_loses_nothing(
    waits_ns: list[int], rate: float
) -> None:
    bucket = TokenBucket(rate_per_s=rate, burst=5.0, now_ns=0)
    now_ns = stood_for = taken = 0
    for wait_ns in waits_ns:
        now_ns += wait_ns
        weight = bucket.take(now_ns)
        stood_for += weight
        taken += weight > 0

    assert taken <= 5.0 + rate * now_ns / 1e9 + 1e-6
    assert stood_for + bucket.refused_count == len(waits_ns)


def test_a_bucket_survives_a_clock_that_goes_back() -> None:
    bucket = TokenBucket(rate_per_s=1.0, burst=1.0, now_ns=10**9)

    assert bucket.take(10**9) == 1
    assert bucket.take(0) == 0
    assert bucket.take(2 * 10**9) == 2


def durations(recorder: Recorder) -> dict[tuple[str, str], int]:
    return {
        (str(attributes[names.ACCOUNT]), str(attributes[names.KIND])): histogram.count
        for attributes, histogram in recorder.metrics.histograms_of(names.ACCOUNT_DURATION)
    }


def test_requests_are_counted_by_account_and_the_rest_share_one_series(settings: Settings) -> None:
    recorder = make_recorder(settings, Kept())
    for number in range(names.ACCOUNTS_MAX + 3):
        clock = make_clock()
        clock.account = f"account{number}"
        recorder.finish(clock, status=201, bytes_in=10, bytes_out=1)
    clock = make_clock(operation=names.GET_BLOB)
    clock.account = "account0"
    recorder.finish(clock, status=200, bytes_out=100)

    found = durations(recorder)

    assert len(found) == names.ACCOUNTS_MAX + 2
    assert found["account0", "read"] == found["account0", "write"] == 1
    assert found[names.ACCOUNT_REST, "write"] == 3
    assert counted(recorder, names.ACCOUNT_BYTES, **{names.ACCOUNT: "account0"}) == 111
    assert counted(recorder, names.ACCOUNT_BYTES, **{names.ACCOUNT: names.ACCOUNT_REST}) == 33


def test_the_canary_is_counted_apart_from_users(settings: Settings) -> None:
    kept = Kept()
    recorder = make_recorder(settings, kept)
    clock = make_clock()
    clock.account, clock.lane = "holdfastcanary", names.LANE_CANARY
    recorder.finish(clock, status=503, error="ServerBusy")

    assert recorder.totals() == {"read": 0, "write": 0, "failed": 0}
    kinds = [
        attributes[names.KIND]
        for attributes, _ in recorder.metrics.histograms_of(names.REQUEST_DURATION)
    ]
    assert kinds == [names.KIND_CANARY]
    assert kept[0].attributes == {
        names.ACCOUNT: "holdfastcanary",
        names.KIND: names.KIND_CANARY,
    }


def test_what_a_limit_refused_takes_no_room_from_failures_of_ours(settings: Settings) -> None:
    kept = Kept()
    recorder = make_recorder(settings, kept)
    for _ in range(1_000):
        clock = make_clock(operation=names.UNKNOWN)
        clock.account, clock.lane = "noisy", names.LANE_THROTTLED
        recorder.finish(clock, status=503, error="ServerBusy")

    recorder.finish(make_clock(), status=500, error="InternalError")

    assert [record.error for record in kept] == ["InternalError"]
    assert durations(recorder)["noisy", names.KIND_THROTTLED] == 1_000
