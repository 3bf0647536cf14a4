"""Recovery times and losses from made histories."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from runbooks.drills.history import ABSENT, Kind, Operation, Outcome
from runbooks.drills.measure import (
    UNSTIRRED_US,
    Calm,
    calm_of,
    longest_wait_ms,
    missing_writes,
    outage,
    version_number,
)
from tests.drills.making import make, read, refused, unknown, version, write

CALM = Calm(slow_us=25_000, late_us=250_000, p50_us=2_000)
MS = 1_000
FAULT_US = 1_000 * MS


def steady(
    from_ms: int, until_ms: int, *, every_ms: int = 50, first: int = 1_000
) -> list[Operation]:
    """Good writes of 2 ms at a steady pace."""
    times = range(from_ms, until_ms, every_ms)
    return [write(first + n, n + 1, at * MS, (at + 2) * MS, at=n + 1) for n, at in enumerate(times)]


def length_ms(operations: Iterable[Operation], fault_ms: int = 1_000) -> float | None:
    found = outage(list(operations), fault_us=fault_ms * MS, calm=CALM)
    assert found is not None, "there was an outage"
    return found.length_ms


def test_a_write_that_waited_counts_with_its_waiting() -> None:
    waited = make(1, Kind.WRITE, 9, 990 * MS, 1_400 * MS, at=500)

    assert length_ms([*steady(0, 980), waited, *steady(1_450, 4_000, first=2_000)]) == 400


def test_failures_last_until_the_first_good_answer() -> None:
    failed = [refused(n, n, (1_010 + 50 * n) * MS, (1_011 + 50 * n) * MS) for n in range(10)]

    assert length_ms([*steady(0, 1_000), *failed, *steady(1_600, 4_000, first=2_000)]) == 592


def test_one_lucky_answer_ends_nothing() -> None:
    lucky = steady(1_200, 1_210, first=50)
    failed = [refused(1, 1, 1_010 * MS, 1_020 * MS), refused(2, 2, 1_500 * MS, 1_510 * MS)]

    assert length_ms([*failed, *lucky, *steady(2_000, 5_000, first=2_000)]) == 992


def test_a_refused_condition_is_the_store_at_work() -> None:
    refusal = make(1, Kind.REPLACE, 5, 1_100 * MS, 1_101 * MS, outcome=Outcome.FAIL)
    answered = Operation(
        **{f: getattr(refusal, f) for f in Operation.__slots__} | {"error": "HTTP 412"}
    )

    assert outage([*steady(0, 3_000), answered], fault_us=1_000 * MS, calm=CALM) is None


def test_no_gap_is_no_outage() -> None:
    assert outage(steady(0, 5_000), fault_us=1_000 * MS, calm=CALM) is None


def test_where_nothing_was_out_the_longest_wait_just_after_the_fault_is_told() -> None:
    late = UNSTIRRED_US + FAULT_US
    operations = [
        write(0, 1, FAULT_US - 90_000, FAULT_US - 1_000, at=1),
        write(1, 2, FAULT_US - 10_000, FAULT_US + 50_000, at=2),
        write(2, 3, FAULT_US + 5_000, FAULT_US + 25_000, at=3),
        write(3, 4, late, late + 80_000, at=4),
    ]

    assert longest_wait_ms(operations, fault_us=FAULT_US) == 60.0
    assert longest_wait_ms([], fault_us=FAULT_US) == 0.0


def test_an_outage_that_does_not_end_has_no_length() -> None:
    failed = [refused(n, n, (1_010 + 50 * n) * MS, (1_011 + 50 * n) * MS) for n in range(40)]

    assert length_ms([*steady(0, 1_000), *failed]) is None


def test_what_turns_bad_much_later_is_not_the_faults_first_effect() -> None:
    late = refused(1, 1, 6_000 * MS, 6_001 * MS)

    assert outage([*steady(0, 9_000), late], fault_us=1_000 * MS, calm=CALM) is None


def test_calm_is_measured_before_the_fault() -> None:
    calm = calm_of([*steady(0, 1_000), refused(1, 1, 2_000 * MS, 9_000 * MS)], before_us=1_000 * MS)

    assert calm == Calm(slow_us=25_000, late_us=250_000, p50_us=2_000)


def test_a_write_is_there_if_its_version_or_a_newer_one_is_found() -> None:
    writes = [write(1, 1, 0, 5, at=3), write(2, 2, 10, 15, at=4)]

    assert missing_writes(writes, {"k": read(9, 2, 20, 25, at=4)}) == []
    assert [m.operation.index for m in missing_writes(writes, {"k": read(9, 1, 20, 25, at=3)})] == [
        2
    ]


@pytest.mark.parametrize(
    "look",
    [
        read(9, ABSENT, 20, 25),
        read(9, 7, 20, 25, at=3),  # another value under the same version
        make(9, Kind.READ, None, 20, 25, outcome=Outcome.FAIL),
    ],
)
def test_nothing_another_value_or_no_look_is_a_loss(look: Operation) -> None:
    lost = missing_writes([write(1, 1, 0, 5, at=3)], {"k": look})

    assert [m.operation.index for m in lost] == [1]


def test_a_key_that_nobody_looked_at_counts_as_lost() -> None:
    assert len(missing_writes([write(1, 1, 0, 5, at=3)], {})) == 1


def test_versions_of_other_stores_have_no_number() -> None:
    assert version_number('"abc-def"') is None
    assert version_number(version(5)) == (0x8D << 56) + 5


def test_an_operation_that_never_came_back_is_part_of_the_outage() -> None:
    hanging = unknown(1, 1, 1_005 * MS)

    assert length_ms([*steady(0, 1_000), hanging, *steady(1_900, 5_000, first=2_000)]) == 897
