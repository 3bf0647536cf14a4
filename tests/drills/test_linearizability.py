"""The consistency verdict: the anomalies by name, and the naive checker on everything small."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.drills.history import ABSENT, Kind, Operation, Outcome
from runbooks.drills.linearizability import Consistency, ConsistencyVerdict, check
from tests.drills import naive
from tests.drills.making import make, read, refused, unknown, version, write

LINEARIZABLE = ConsistencyVerdict.LINEARIZABLE
VIOLATED = ConsistencyVerdict.VIOLATED
UNDECIDED = ConsistencyVerdict.UNDECIDED


def verdict_of(operations: Sequence[Operation], *, steps: int = 100_000) -> Consistency:
    # Alone, one operation of unknown outcome in ten would already be too many.
    return check(operations, steps_max=steps, unknown_share_max=1.0)


def test_a_stale_read_is_shown_in_three_operations() -> None:
    calm = [write(n, n + 1, 10 * n, 10 * n + 5, at=n + 1) for n in range(20)]
    stale = read(30, 12, 300, 310, at=12)

    found = verdict_of([*calm, stale])

    assert found.verdict is VIOLATED
    assert found.culprit == 30
    assert [op.index for op in found.counterexample] == [11, 19, 30]
    assert found.sentence == "Client 30 read version 12 after version 20 was acknowledged"


def test_a_lost_write_whose_version_was_given_again_is_shown_in_two_operations() -> None:
    lost, again = write(1, 1, 0, 5, at=7), write(2, 2, 50, 60, at=7)

    found = verdict_of([lost, again, read(3, 2, 70, 80, at=7)])

    assert found.verdict is VIOLATED
    assert found.counterexample == (lost, again)
    assert found.sentence == "Version 7 names two different values"


def test_an_acknowledged_write_that_is_gone_is_shown_with_what_came_back() -> None:
    found = verdict_of([write(1, 1, 0, 5, at=3), read(2, ABSENT, 10, 12)])

    assert found.verdict is VIOLATED
    assert found.sentence == "Client 2 found nothing after version 3 was acknowledged"
    assert [op.index for op in found.counterexample] == [1, 2]


def test_a_value_out_of_nowhere_is_a_violation() -> None:
    found = verdict_of([read(1, 9, 0, 5, at=3)])

    assert (found.verdict, found.culprit) == (VIOLATED, 1)


def test_a_refused_write_that_shows_up_is_a_violation() -> None:
    found = verdict_of([refused(1, 9, 0, 5), read(2, 9, 10, 15, at=3)])

    assert (found.verdict, found.culprit) == (VIOLATED, 2)


def test_a_value_seen_before_its_write_was_asked_is_a_violation() -> None:
    found = verdict_of([read(1, 5, 0, 5, at=4), write(2, 5, 10, 15, at=4)])

    assert found.verdict is VIOLATED


def test_a_write_of_unknown_outcome_may_show_up_late_or_never() -> None:
    before = [write(1, 1, 0, 5, at=1), unknown(2, 2, 10)]

    assert verdict_of([*before, read(3, 1, 20, 25, at=1)]).verdict is LINEARIZABLE
    late = [read(3, 1, 20, 25, at=1), read(4, 2, 30, 35, at=2)]
    assert verdict_of([*before, *late]).verdict is LINEARIZABLE
    back = [read(3, 2, 20, 25, at=2), read(4, 1, 30, 35, at=1)]
    assert verdict_of([*before, *back]).verdict is VIOLATED


def test_a_conditional_write_must_follow_the_version_that_it_named() -> None:
    def replace_of(expected: int) -> Operation:
        return make(3, Kind.REPLACE, 3, 20, 25, at=3, expected=expected)

    writes = [write(1, 1, 0, 5, at=1), write(2, 2, 10, 15, at=2)]

    assert verdict_of([*writes, replace_of(2)]).verdict is LINEARIZABLE
    assert verdict_of([*writes, replace_of(1)]).verdict is VIOLATED


def test_deletions_are_settled_by_search() -> None:
    wrote, deleted = write(1, 1, 0, 5, at=1), make(2, Kind.DELETE, None, 10, 15)

    gone = verdict_of([wrote, deleted, read(3, ABSENT, 20, 25)])
    back = verdict_of([wrote, deleted, read(3, 1, 20, 25, at=1)])

    assert (gone.verdict, gone.searched) == (LINEARIZABLE, 1)
    assert back.verdict is VIOLATED
    assert len(back.counterexample) == 3


def test_too_many_unknown_outcomes_prove_nothing() -> None:
    operations = [
        unknown(0, 1, 0),
        *(write(n, n + 1, n * 10, n * 10 + 5, at=n) for n in range(1, 50)),
    ]

    found = check(operations, steps_max=1000, unknown_share_max=0.01)

    assert found.verdict is UNDECIDED
    assert "1 of 50" in found.sentence


def test_a_violation_stands_however_many_outcomes_are_unknown() -> None:
    operations = [unknown(n, n + 1, 0) for n in range(5)]
    operations += [write(6, 90, 0, 5, at=2), read(7, ABSENT, 10, 15)]

    assert check(operations, steps_max=1000, unknown_share_max=0.01).verdict is VIOLATED


def test_a_search_that_runs_out_of_steps_is_undecided() -> None:
    operations = [make(n, Kind.DELETE, None, 0, 100) for n in range(4)]
    operations += [write(n, n, 0, 100, at=n) for n in range(4, 8)]
    operations += [read(16, 4, 200, 210, at=4), read(17, 5, 220, 230, at=5)]

    assert verdict_of(operations, steps=30).verdict is UNDECIDED
    assert verdict_of(operations, steps=100_000).verdict is VIOLATED


def test_twenty_thousand_operations_need_no_search() -> None:
    rng = random.Random(5)
    operations: list[Operation] = []
    places = dict.fromkeys(range(12), 0)
    for index in range(20_000):
        key = rng.randrange(12)
        at = index * 50
        if rng.random() < 0.5 or not places[key]:
            places[key] = index + 1
            operations.append(write(index, index + 1, at, at + 40, at=index + 1, key=f"k{key}"))
        else:
            seen = places[key]
            operations.append(read(index, seen, at, at + 40, at=seen, key=f"k{key}"))

    found = verdict_of(operations)

    assert (found.verdict, found.searched, found.keys) == (LINEARIZABLE, 0, 12)


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """Up to six operations on one key, versions in any order, one version a value."""
    kinds = draw(st.lists(st.sampled_from(list(Kind)), min_size=1, max_size=6))
    writers = [n for n, kind in enumerate(kinds) if kind in (Kind.WRITE, Kind.REPLACE)]
    order = draw(st.permutations(range(1, len(writers) + 1)))
    places = dict(zip(writers, order, strict=True))
    operations = []
    for index, kind in enumerate(kinds):
        start = draw(st.integers(0, 20))
        end = start + draw(st.integers(0, 8))
        is_known = draw(st.booleans()) or draw(st.booleans())
        outcome = Outcome.OK if is_known or kind is Kind.READ else Outcome.INFO
        value: int | None = index + 1 if index in places else None
        place, expected = places.get(index, 0), 0
        if kind is Kind.READ:
            value = draw(st.sampled_from([ABSENT, *(writer + 1 for writer in writers)]))
            place = 0 if value == ABSENT else places[value - 1]
        if kind is Kind.REPLACE:
            expected = draw(st.sampled_from(order))
        operations.append(
            make(
                index, kind, value, start, end if outcome is Outcome.OK else None,
                at=place if outcome is Outcome.OK else 0, outcome=outcome, expected=expected,
            )
        )  # fmt: skip
    return operations


@settings(max_examples=400, deadline=None)
@given(histories())
def test_the_verdict_is_that_of_the_naive_checker(operations: list[Operation]) -> None:
    found = verdict_of(operations)

    assert (found.verdict is LINEARIZABLE) == naive.explained(operations)


@settings(max_examples=200, deadline=None)
@given(histories())
def test_a_counterexample_is_unexplainable_by_itself(operations: list[Operation]) -> None:
    found = verdict_of(operations)

    if found.verdict is VIOLATED:
        assert found.sentence
        assert not naive.explained(found.counterexample, operations)


def test_versions_are_told_by_their_place_in_the_log() -> None:
    assert version(7) == '"0x8D00000000000007"'
