"""The tour's state and its stopwatch, without a page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.tour import stopwatch
from console.tour.steps import (
    FAULTS,
    LAST,
    PROOF,
    STEPS,
    SURPRISES,
    Killed,
    Tour,
    asked,
    decode,
    encode,
)
from runbooks.drills.scenarios import SCENARIOS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
)
NAMES = ("step", "is_hidden", "trace_id", "drill", "is_surprise", "killed", "proof")


def test_what_is_stored_is_what_is_read_again() -> None:
    tour = Tour(
        step=5,
        is_hidden=True,
        trace_id="ab" * 16,
        drill=7,
        is_surprise=True,
        killed=Killed(name="node-1", pid=42, term=3, shown_ms=1),
        proof=9,
    )

    assert decode(encode(tour)) == tour


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON)))
def test_nonsense_that_was_stored_is_left_out(stored: dict[str, object]) -> None:
    tour = decode(stored)

    assert 0 <= tour.step <= LAST
    assert decode(encode(tour)) == tour


@pytest.mark.parametrize("text", ["", "0", "7", "x", "-1", "1.0", "\u0661", "999999999999999999"])
def test_an_address_that_names_no_step_opens_none(text: str) -> None:
    assert asked(text) is None


def test_every_step_has_its_number_and_every_fault_is_a_drill() -> None:
    assert [step.number for step in STEPS] == list(range(1, LAST + 1))
    assert {*FAULTS, *SURPRISES, PROOF} <= set(SCENARIOS)


def test_a_hand_counts_until_its_moment_and_then_stands() -> None:
    hands = stopwatch.read(
        now_ms=20_000,
        fault_ms=10_000,
        detected_ms=15_500,
        named_ms=None,
        fixed_ms=None,
        is_over=False,
    )

    assert [(hand.word, hand.seconds, hand.is_over) for hand in hands] == [
        ("Detected", 5.5, True),
        ("Named", 10.0, False),
        ("Fixed", 10.0, False),
    ]


def test_what_never_came_has_no_time() -> None:
    hands = stopwatch.read(
        now_ms=9_000, fault_ms=1_000, detected_ms=3_000, named_ms=None, fixed_ms=None, is_over=True
    )

    assert [hand.seconds for hand in hands] == [2.0, None, None]


def test_no_hand_runs_before_the_fault() -> None:
    hands = stopwatch.read(
        now_ms=9_000, fault_ms=None, detected_ms=None, named_ms=None, fixed_ms=None, is_over=False
    )

    assert [hand.seconds for hand in hands] == [None, None, None]
