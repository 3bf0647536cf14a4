import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.receiver.rings import (
    NODES_MAX,
    SECONDS_KEPT,
    Past,
    PastTally,
    Rings,
    node_series,
    now_series,
    objective_counts,
    quantile_ms,
    totals,
)

T = 1_000_000  # a second in Unix time that is a multiple of every step used here
NOW_MS = (T + 100) * 1000


def bucket_of_ms(ms: float) -> int:
    return math.ceil(math.log2(ms / 1000) * 16) - 1


def add(
    rings: Rings, second: int, kind: str, *ms: float, node: str = "node-0", failed: int = 0
) -> None:
    for value in ms:
        rings.add(
            node=node,
            time_ms=second * 1000 + 400,
            kind=kind,
            offset=bucket_of_ms(value),
            bucket_counts=[1],
        )
    if failed:
        rings.add(node=node, time_ms=second * 1000 + 400, kind=kind, failed=failed)


def test_a_step_shows_what_all_nodes_counted_in_it() -> None:
    rings = Rings()
    add(rings, T, "write", 2.0, 2.0, 2.0, node="node-0")
    add(rings, T + 4, "write", 40.0, node="node-1", failed=1)
    add(rings, T + 4, "read", 1.0, node="node-2")
    add(rings, T + 5, "read", 1.0, node="node-2")

    series = now_series(rings, now_ms=NOW_MS, seconds=100, step=5)

    at = dict(series["requests_per_s"])
    assert at[T * 1000] == 5 / 5
    assert at[(T + 5) * 1000] == 1 / 5
    assert dict(series["failed_percent"])[T * 1000] == pytest.approx(20.0)
    assert dict(series["write_p50_ms"])[T * 1000] == pytest.approx(2.0, rel=0.03)
    assert dict(series["write_p99_ms"])[T * 1000] == pytest.approx(40.0, rel=0.03)
    assert dict(series["read_p50_ms"])[T * 1000] == pytest.approx(1.0, rel=0.03)


def test_the_past_goes_where_nobody_reported_and_is_whole() -> None:
    rings = Rings()
    add(rings, T + 1, "write", 2.0)
    told = PastTally(kind="write", failed=1, zero_count=0, buckets={bucket_of_ms(40.0): 2})
    past = [Past(node="node-0", second=T + at, tallies=(told,)) for at in (0, 1)]

    counts = [rings.recall([*past, Past(node="node-1", second=T, tallies=())]) for _ in range(2)]
    add(rings, T, "write", 40.0)  # Sent again: the answer to it was lost with the last process.

    found = totals(rings, now_ms=NOW_MS, seconds=100)
    assert counts == [2, 0]
    assert (found["writes"], found["failed"]) == (3, 1)
    assert (
        dict(
            node_series(rings, measure="requests_per_s", now_ms=NOW_MS, seconds=100, step=1)[
                "node-1"
            ]
        )[T * 1000]
        == 0
    )


def test_a_slot_of_the_past_is_taken_over_by_a_newer_second() -> None:
    rings = Rings()
    rings.recall([Past(node="node-0", second=T - SECONDS_KEPT, tallies=())])

    add(rings, T, "write", 2.0, 2.0)

    assert totals(rings, now_ms=NOW_MS, seconds=100)["writes"] == 2


def test_silence_is_not_zero() -> None:
    rings = Rings()
    rings.heard("node-0", T * 1000)

    series = now_series(rings, now_ms=NOW_MS, seconds=100, step=1)

    assert dict(series["requests_per_s"])[T * 1000] == 0.0
    assert dict(series["failed_percent"])[T * 1000] is None
    assert dict(series["requests_per_s"])[(T + 1) * 1000] is None
    assert rings.last_ms == {"node-0": T * 1000}
    assert totals(Rings(), now_ms=NOW_MS, seconds=60) == {}


def test_a_step_that_is_not_over_yet_is_not_shown() -> None:
    rings = Rings()

    steps = rings.steps(now_ms=(T + 12) * 1000, seconds=20, step=5)

    assert steps == [T - 10, T - 5, T, T + 5]


def test_an_old_second_gives_way_and_never_comes_back() -> None:
    rings = Rings()
    add(rings, T, "read", 1.0)
    add(rings, T + SECONDS_KEPT, "read", 1.0, 1.0)

    add(rings, T, "read", 1.0)

    assert rings.refused_count == 1
    late = totals(rings, now_ms=(T + SECONDS_KEPT + 10) * 1000, seconds=60)
    assert late["reads"] == 2


def test_names_of_nodes_are_bounded() -> None:
    rings = Rings()

    for number in range(NODES_MAX + 5):
        rings.heard(f"node-{number}", T * 1000)

    assert len(rings.nodes) == NODES_MAX
    assert rings.refused_count == 5


def test_a_node_has_a_curve_of_its_own() -> None:
    rings = Rings()
    add(rings, T, "flush", 0.5, 0.5, node="node-0")
    add(rings, T, "flush", 90.0, node="node-1")
    add(rings, T, "read", 3.0, node="node-1", failed=1)

    flush = node_series(rings, measure="flush_p99_ms", now_ms=NOW_MS, seconds=100, step=5)
    rate = node_series(rings, measure="requests_per_s", now_ms=NOW_MS, seconds=100, step=5)
    failed = node_series(rings, measure="failed_per_s", now_ms=NOW_MS, seconds=100, step=5)

    assert dict(flush["node-0"])[T * 1000] == pytest.approx(0.5, rel=0.03)
    assert dict(flush["node-1"])[T * 1000] == pytest.approx(90, rel=0.03)
    assert dict(rate["node-1"])[T * 1000] == 1 / 5
    assert dict(rate["node-0"])[T * 1000] == 0.0
    assert dict(failed["node-1"])[T * 1000] == 1 / 5


def test_objectives_count_the_slow_and_the_failed() -> None:
    rings = Rings()
    add(rings, T, "write", 10.0, 49.0, 80.0, failed=2)
    add(rings, T, "read", 1.0, 30.0)

    (counts,) = objective_counts(
        rings, now_ms=NOW_MS, seconds=100, step=5, write_ms=55.0, read_ms=20.0
    )

    assert counts == {
        "t_ms": T * 1000,
        "writes": 3,
        "writes_failed": 2,
        "writes_slow": 1,
        "reads": 2,
        "reads_failed": 0,
        "reads_slow": 1,
    }


@given(
    st.lists(
        st.tuples(
            st.integers(0, 59),
            st.sampled_from(["read", "write"]),
            st.floats(min_value=0.01, max_value=10_000),
            st.sampled_from(["node-0", "node-1"]),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_totals_are_those_of_a_naive_list(requests: list[tuple[int, str, float, str]]) -> None:
    rings = Rings()
    for second, kind, ms, node in requests:
        add(rings, T + second, kind, ms, node=node)

    found = totals(rings, now_ms=(T + 62) * 1000, seconds=60)

    writes = sorted(ms for _, kind, ms, _ in requests if kind == "write")
    assert found["requests"] == len(requests)
    assert found["writes"] == len(writes)
    if writes:
        naive = writes[max(1, math.ceil(0.5 * len(writes))) - 1]
        assert found["write_p50_ms"] == pytest.approx(naive, rel=0.03)


def test_values_too_small_for_a_bucket_count_as_zero() -> None:
    rings = Rings()
    rings.add(node="node-0", time_ms=T * 1000, kind="read", zero_count=3)

    found = totals(rings, now_ms=(T + 5) * 1000, seconds=60)

    assert (found["reads"], found["read_p50_ms"]) == (3, 0.0)
    assert quantile_ms({}, 0.5) is None
