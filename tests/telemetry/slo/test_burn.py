"""Burn rates against a naive count, tier by tier, and what "met" and "left" mean."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.slo.burn import (
    BAD_MIN,
    FLASH,
    REQUESTS_MIN,
    TIERS,
    burn_rate,
    conditions,
    is_met,
    met_since,
    onset_s,
    read_budget,
    read_tier,
    read_tiers,
    seconds_of,
)
from telemetry.slo.counts import (
    MINUTES_KEPT,
    READS,
    WRITES,
    Counts,
    History,
    Objective,
    Second,
    counts_of,
    total,
)

T = 1_700_000_040  # the start of a minute, and of an hour
DAY_S = 86_400


def make_objective(**changed: object) -> Objective:
    given_: dict[str, object] = {
        "name": "write-availability",
        "of": WRITES,
        "target_percent": 99.9,
        "threshold_ms": None,
        "window_days": 30,
    }
    return Objective(**(given_ | changed))  # type: ignore[arg-type]


LATENCY = make_objective(name="write-latency", target_percent=95.0, threshold_ms=50.0)


def make_second(t_s: int = T, **changed: int | None) -> Second:
    usual = Second(t_s, 10, 0, 0, 10, 0, 0)
    return usual._replace(**changed)  # type: ignore[arg-type]


def minutes_of(hours: float, requests: int, bad: int, *, until_s: int = T) -> dict[int, Counts]:
    last = until_s // 60
    return {m: Counts(requests, bad) for m in range(last - round(hours * 60), last)}


@pytest.mark.parametrize(
    ("name", "hours", "percent", "severity"),
    [
        ("14.4x", 1.5, 2.0, "page"),
        ("6x", 7, 0.7, "page"),
        ("3x", 25, 0.4, "ticket"),
        ("1x", 73, 0.15, "ticket"),
    ],
)
def test_each_tier_holds_at_its_burn_and_not_below(
    name: str, hours: float, percent: float, severity: str
) -> None:
    tier = next(tier for tier in TIERS if tier.name == name)
    held = []

    for share in (percent, tier.burn / 10 * 0.9):
        history = History(make_objective())
        history.load(minutes_of(hours, 10_000, round(share * 100)), {})
        for t_s in range(T, T + 300):  # The newest minutes are known second by second.
            history.feed(t_s, Counts(1000, round(share * 10)))
        reading = read_tier(history, tier, now_s=T + 299)
        held.append(reading.holds)
        if reading.holds:
            told = conditions(history, [reading], now_s=T + 299, labels={})
            assert [each.severity for each in told] == [severity]

    assert held == [True, False]


def test_a_long_window_that_is_mostly_empty_says_nothing() -> None:
    history = History(make_objective())
    history.load(minutes_of(0.4, 600, 300), {})

    readings = {reading.tier.name: reading for reading in read_tiers(history, now_s=T)}

    assert not any(readings[name].measured for name in ("14.4x", "6x", "3x", "1x"))
    assert not any(reading.holds for reading in readings.values())


@pytest.mark.parametrize(("requests", "bad"), [(REQUESTS_MIN - 1, REQUESTS_MIN - 1), (500, 9)])
def test_few_requests_and_few_bad_ones_never_hold_a_tier(requests: int, bad: int) -> None:
    assert bad < BAD_MIN or requests < REQUESTS_MIN
    history = History(make_objective())
    for t_s in range(T - 120, T):
        history.feed(t_s, Counts())
    each, rest = divmod(requests, 3)
    for at in range(3):
        share = each + (rest if at == 0 else 0)
        history.feed(T + at, Counts(share, min(share, bad // 3)))

    assert not read_tier(history, FLASH, now_s=T + 2).holds


def test_one_second_of_trouble_is_not_trouble_and_three_are() -> None:
    held = []
    for bad_seconds in (1, 2, 3):
        history = History(make_objective())
        for t_s in range(T - 120, T + 1):
            history.feed(t_s, Counts(10, 10 if t_s > T - bad_seconds else 0))
        history.feed(T, Counts(100, 100))
        held.append(read_tier(history, FLASH, now_s=T).holds)

    assert held == [False, False, True]


def test_what_is_over_does_not_fire_any_more() -> None:
    history = History(LATENCY)
    for t_s in range(T - 200, T):
        history.feed(t_s, Counts(10, 10 if T - 40 <= t_s < T - 12 else 0))

    reading = read_tier(history, FLASH, now_s=T - 1)

    assert reading.long_burn > 1.5 and reading.short_burn > 4
    assert not reading.holds


def test_the_onset_is_the_first_bad_second_of_this_trouble_not_of_an_older_one() -> None:
    history = History(LATENCY)
    bad = {T - 60, T - 20, T - 19, T - 15, T - 14, T - 1}
    bad |= set(range(T - 13, T))
    for t_s in range(T - 120, T):
        history.feed(t_s, Counts(10, 5 if t_s in bad else 0))

    assert onset_s(history, 120, T - 1) == T - 20


def test_a_second_counts_once_by_the_report_that_knew_most() -> None:
    history = History(make_objective())

    for counts in (Counts(5, 1), Counts(12, 3), Counts(7, 2)):
        history.feed(T, counts)

    assert history.last(1, now_s=T).counts == Counts(12, 3)


@settings(max_examples=60, deadline=None)
@given(
    seconds=st.lists(
        st.tuples(st.integers(0, 899), st.integers(0, 50), st.integers(0, 50)), max_size=80
    ),
    length_s=st.integers(1, 900),
)
def test_windows_are_those_of_a_naive_count(
    seconds: list[tuple[int, int, int]], length_s: int
) -> None:
    history = History(make_objective())
    naive: dict[int, Counts] = {}
    for offset, good, bad in seconds:
        counts = Counts(good + bad, bad)
        if offset not in naive or naive[offset].requests <= counts.requests:
            naive[offset] = counts
        history.feed(T + offset, counts)

    found = history.last(length_s, now_s=T + 899)

    inside = [counts for offset, counts in naive.items() if offset > 899 - length_s]
    assert found.covered_s == len(inside)
    assert (found.counts.requests, found.counts.bad) == (
        sum(each.requests for each in inside),
        sum(each.bad for each in inside),
    )
    expected = found.counts.bad / found.counts.requests / 0.001 if found.counts.requests else 0
    assert burn_rate(found.counts, history.objective) == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(
    rates=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=5, max_size=30),
    hours=st.sampled_from([1, 2, 6]),
)
def test_a_window_over_closed_minutes_and_open_seconds_counts_each_second_once(
    rates: list[tuple[int, int]], hours: int
) -> None:
    history, everything = History(make_objective()), Counts()
    for minute, (good, bad) in enumerate(rates):
        for t_s in range(T + minute * 60, T + minute * 60 + 60, 7):
            history.feed(t_s, Counts(good + bad, bad))
            everything = everything.plus(Counts(good + bad, bad))
        history.close(T + minute * 60 + 59)

    found = history.window(hours * 3600, now_s=T + len(rates) * 60)

    assert found.counts == everything


def test_minutes_close_once_in_order_and_late_seconds_are_refused() -> None:
    history = History(make_objective())
    for t_s in range(T, T + 130):
        history.feed(t_s, Counts(1, 0))

    first = history.close(T + 130)
    again = history.close(T + 131)
    history.feed(T + 5, Counts(99, 99))

    assert [(each.minute, each.counts.requests) for each in first] == [
        (T // 60, 60),
        (T // 60 + 1, 60),
    ]
    assert again == []
    assert history.window(3600, now_s=T + 131).counts == Counts(130, 0)


def test_memory_is_bounded_and_old_minutes_become_hours() -> None:
    history = History(make_objective())
    start = T // 60 - MINUTES_KEPT - 600
    history.load({start + at: Counts(60, 1) for at in range(MINUTES_KEPT + 600)}, {})
    history.feed(T, Counts(1, 0))

    history.close(T + 70)

    assert len(history.minutes) <= MINUTES_KEPT + 2
    month = history.window(30 * DAY_S, now_s=T + 70).counts
    assert month == Counts(60 * (MINUTES_KEPT + 600) + 1, MINUTES_KEPT + 600)


def test_a_budget_shows_what_drills_spent_apart() -> None:
    history = History(LATENCY)
    history.load({m: Counts(600, 30, 20) for m in range(T // 60 - 1440, T // 60)}, {})

    budget = read_budget(history, now_s=T)

    # A day at exactly the allowed share uses a thirtieth of thirty days.
    assert budget.measured_s == DAY_S
    assert budget.left_percent == pytest.approx(100 - 100 / 30)
    assert budget.drill_percent == pytest.approx(100 / 30 * 2 / 3)
    assert budget.burn == pytest.approx(1.0)


def test_a_budget_of_nothing_is_whole() -> None:
    assert read_budget(History(LATENCY), now_s=T).left_percent == 100.0


@pytest.mark.parametrize(
    ("changed", "met"),
    [({}, True), ({"writes_slow": 1}, False), ({"writes": 0}, True), ({"reads_failed": 1}, False)],
)
def test_met_means_every_objective(changed: dict[str, int], met: bool) -> None:
    reads = make_objective(name="read-availability", of=READS)

    assert is_met([make_second(**changed)], [LATENCY, reads]) is met


def test_fixed_is_the_start_of_the_first_half_minute_with_every_objective_met() -> None:
    seconds = [
        make_second(T + at, writes_slow=9 if at < 40 or at == 60 else 0) for at in range(120)
    ]

    # The last bad second may lie inside: 9 of 300 slow writes are below 5 %.
    assert met_since(seconds, [LATENCY]) == T + 40
    assert met_since(seconds, [LATENCY], not_before_s=T + 50) == T + 50
    assert met_since(seconds[:60], [LATENCY]) is None


def test_a_second_that_nobody_reported_is_not_a_met_one() -> None:
    seconds = [make_second(T + at) for at in range(59) if at != 29]

    assert met_since(seconds, [LATENCY]) is None


def test_without_a_count_of_slow_requests_latency_is_not_judged() -> None:
    assert counts_of(LATENCY, make_second(writes_slow=None)) is None
    assert total([]) == Counts()


def test_the_answer_of_telemetry_becomes_seconds() -> None:
    row = {
        "t_ms": T * 1000,
        "writes": 3,
        "writes_failed": 2,
        "writes_slow": 1,
        "reads": 2,
        "reads_failed": 0,
        "reads_slow": 0,
    }

    assert seconds_of([row]) == (Second(T, 3, 2, 1, 2, 0, 0),)
