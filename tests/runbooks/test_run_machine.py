"""The machine's tables: every pair has an answer, and the answers that matter are spelled out."""

import itertools

import pytest

from runbooks.engine.machine import (
    CHECK_VERDICT,
    NEXT,
    VERDICT,
    Answer,
    Condition,
    Finish,
    Lose,
    Perform,
    Pressure,
    Wait,
    next_effect,
    verdict,
)
from runbooks.engine.plan import StepKind
from runbooks.engine.states import AttemptState, RunSnapshot, RunState, StepSnapshot

NOW_MS = 1_700_000_000_000


def make_step(
    position: int = 0,
    state: RunState = RunState.QUEUED,
    kind: StepKind = StepKind.READ,
    *,
    attempt_count: int = 0,
    reason: str = "",
) -> StepSnapshot:
    return StepSnapshot(
        position=position,
        name=f"step-{position}",
        kind=kind,
        state=state,
        attempt_count=attempt_count,
        attempt_limit=2,
        timeout_s=30,
        lease_until_ms=NOW_MS + 5_000 if state is RunState.RUNNING else None,
        reason=reason,
    )


def make_run(
    *steps: StepSnapshot,
    state: RunState = RunState.RUNNING,
    deadline_ms: int = NOW_MS + 60_000,
    cancel_by: str = "",
) -> RunSnapshot:
    return RunSnapshot(
        run_id=1, version=1, state=state, deadline_ms=deadline_ms, cancel_by=cancel_by, steps=steps
    )


def test_every_condition_has_an_answer_under_every_pressure() -> None:
    assert set(NEXT) == set(itertools.product(Condition, Pressure))


def test_every_kind_of_step_has_a_verdict_for_every_end_that_an_attempt_reports() -> None:
    ends = set(AttemptState) - {AttemptState.RUNNING, AttemptState.CANCELLED}

    kinds = set(StepKind) - {StepKind.APPROVAL}
    assert set(VERDICT) == set(itertools.product(kinds, ends))
    assert set(CHECK_VERDICT) == ends


def test_no_table_entry_repeats_a_guarded_step() -> None:
    again = {end for (kind, end), after in VERDICT.items()
             if kind is StepKind.GUARDED and after is RunState.QUEUED}  # fmt: skip

    assert again == {AttemptState.HELD}, "a held attempt sent nothing"


def test_a_change_under_way_is_never_dropped() -> None:
    answers = {NEXT[Condition.UNDER_WAY_CHANGE, pressure] for pressure in Pressure}

    assert answers == {Answer.WAIT}


@pytest.mark.parametrize(
    "state", [RunState.DONE, RunState.FAILED, RunState.UNKNOWN, RunState.CANCELLED]
)
def test_a_finished_run_has_no_next_effect(state: RunState) -> None:
    assert next_effect(make_run(make_step(), state=state), now_ms=NOW_MS) is None


def test_the_first_step_that_is_not_done_is_performed() -> None:
    run = make_run(make_step(0, RunState.DONE), make_step(1, attempt_count=1), make_step(2))

    assert next_effect(run, now_ms=NOW_MS) == Perform(position=1, name="step-1", attempt_number=2)


def test_a_run_whose_steps_are_all_done_is_done_even_if_late_or_cancelled() -> None:
    run = make_run(make_step(0, RunState.DONE), deadline_ms=NOW_MS - 1, cancel_by="ann")

    assert next_effect(run, now_ms=NOW_MS) == Finish(state=RunState.DONE, reason="")


def test_a_running_step_is_waited_for_until_its_lease_or_the_deadline() -> None:
    step = make_step(0, RunState.RUNNING)

    assert next_effect(make_run(step), now_ms=NOW_MS) == Wait(until_ms=NOW_MS + 5_000)
    near = make_run(step, deadline_ms=NOW_MS + 1_000)
    assert next_effect(near, now_ms=NOW_MS) == Wait(until_ms=NOW_MS + 1_000)


def test_a_lease_ends_at_its_very_millisecond() -> None:
    run = make_run(make_step(0, RunState.RUNNING))

    assert isinstance(next_effect(run, now_ms=NOW_MS + 4_999), Wait)
    lost = next_effect(run, now_ms=NOW_MS + 5_000)
    assert lost == Lose(position=0, lease_until_ms=NOW_MS + 5_000)


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING])
def test_a_read_is_cancelled_at_once(state: RunState) -> None:
    run = make_run(make_step(0, state), cancel_by="ann")

    effect = next_effect(run, now_ms=NOW_MS)

    assert effect == Finish(state=RunState.CANCELLED, reason="cancelled by ann")


def test_a_guarded_step_under_way_is_waited_for_although_cancelled() -> None:
    step = make_step(0, RunState.RUNNING, StepKind.GUARDED)

    assert isinstance(next_effect(make_run(step, cancel_by="ann"), now_ms=NOW_MS), Wait)


def test_an_overdue_run_fails_and_names_the_step() -> None:
    run = make_run(make_step(0), deadline_ms=NOW_MS)

    effect = next_effect(run, now_ms=NOW_MS)

    reason = "the run's deadline passed before step-0 ended"
    assert effect == Finish(state=RunState.FAILED, reason=reason)


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.UNKNOWN])
def test_the_run_ends_as_its_step_did_with_the_steps_reason(state: RunState) -> None:
    run = make_run(make_step(0, state, reason="disk on fire"))

    assert next_effect(run, now_ms=NOW_MS) == Finish(state=state, reason="disk on fire")


@pytest.mark.parametrize(
    ("kind", "ended", "attempt_count", "after"),
    [
        (StepKind.READ, AttemptState.LOST, 1, RunState.QUEUED),
        (StepKind.READ, AttemptState.LOST, 2, RunState.FAILED),
        (StepKind.READ, AttemptState.REFUSED, 1, RunState.FAILED),
        (StepKind.READ, AttemptState.RELEASED, 2, RunState.QUEUED),
        (StepKind.IDEMPOTENT, AttemptState.FAILED, 1, RunState.QUEUED),
        (StepKind.GUARDED, AttemptState.LOST, 1, RunState.UNKNOWN),
        (StepKind.GUARDED, AttemptState.FAILED, 1, RunState.FAILED),
    ],
)
def test_what_becomes_of_a_step_depends_on_its_kind(
    kind: StepKind, ended: AttemptState, attempt_count: int, after: RunState
) -> None:
    assert verdict(kind, ended, attempt_count=attempt_count, attempt_limit=2) is after
