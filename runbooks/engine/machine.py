"""What a run does next: a pure function of the run and of the time.

Whoever looks at a run, a worker that heard the bell, the watcher on its round or a person who
pressed cancel, asks the same question here and gets the same answer, so none of them decides by
itself. `standing_at` finds the step that the run stands at, following failures to where they lead;
then two tables say everything:

- `NEXT`: the condition of that step, and what presses on the run (a cancellation, its deadline)
  -> what to do;
- `VERDICT`: the kind of a step and how its attempt ended -> what becomes of the step.

Invariants: at most one attempt of a run is under way; a guarded step that may have happened is
never attempted again before a check said that it did not, or a person did; a finished run has no
next effect; a run that ends early takes back what it did before it ends. Claims and records are
the journal's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from runbooks import limits
from runbooks.engine.plan import ABORT, CONTINUE, StepKind
from runbooks.engine.states import (
    ACTIVE_STATES,
    AttemptState,
    Purpose,
    RunSnapshot,
    RunState,
    StepSnapshot,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Perform:
    """Claim this step and do it once. To CHECK is to find out whether a lost attempt happened."""

    position: int
    name: str
    attempt_number: int
    purpose: Purpose = Purpose.ACT


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """An attempt or a question is under way; look again then."""

    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lose:
    """The attempt's lease, seen as `lease_until_ms`, has expired."""

    position: int
    lease_until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The run has come to an approval: fix the plan and ask for it."""

    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailStep:
    """This step's own time is over though the run's is not."""

    position: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginUndo:
    """Take back what was done, last first, and then end in this state."""

    ending: RunState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    state: RunState
    reason: str


Effect = Perform | Wait | Lose | Ask | FailStep | BeginUndo | Finish


class Condition(Enum):
    """Of the step that the run stands at."""

    NOTHING_LEFT = auto()
    READY = auto()
    LATE = auto()  # ready, but its own time is over
    TO_ASK = auto()
    ASKED = auto()
    ASKED_IN_VAIN = auto()
    UNDER_WAY_READ = auto()  # may be dropped at any moment without harm
    UNDER_WAY_CHANGE = auto()
    LEASE_EXPIRED = auto()
    UNSURE = auto()  # it may have happened, and that can still be checked
    FAILED = auto()
    UNKNOWN = auto()


class Pressure(Enum):
    NONE = auto()
    CANCEL = auto()
    OVERDUE = auto()


class Answer(Enum):
    SUCCEED = auto()
    PERFORM = auto()
    CHECK = auto()
    ASK = auto()
    WAIT = auto()
    LOSE = auto()
    FAIL = auto()
    FAIL_STEP = auto()
    FAIL_OVERDUE = auto()
    EXPIRE = auto()
    STAY_UNKNOWN = auto()
    CANCEL = auto()


def _row(
    condition: Condition, none: Answer, cancel: Answer, overdue: Answer
) -> dict[tuple[Condition, Pressure], Answer]:
    pressures = (Pressure.NONE, Pressure.CANCEL, Pressure.OVERDUE)
    return {(condition, p): a for p, a in zip(pressures, (none, cancel, overdue), strict=True)}


# fmt: off
NEXT: dict[tuple[Condition, Pressure], Answer] = {
    **_row(Condition.NOTHING_LEFT, Answer.SUCCEED, Answer.SUCCEED, Answer.SUCCEED),
    **_row(Condition.READY, Answer.PERFORM, Answer.CANCEL, Answer.FAIL_OVERDUE),
    **_row(Condition.LATE, Answer.FAIL_STEP, Answer.CANCEL, Answer.FAIL_OVERDUE),
    **_row(Condition.TO_ASK, Answer.ASK, Answer.CANCEL, Answer.FAIL_OVERDUE),
    **_row(Condition.ASKED, Answer.WAIT, Answer.CANCEL, Answer.FAIL_OVERDUE),
    **_row(Condition.ASKED_IN_VAIN, Answer.EXPIRE, Answer.CANCEL, Answer.EXPIRE),
    **_row(Condition.UNDER_WAY_READ, Answer.WAIT, Answer.CANCEL, Answer.FAIL_OVERDUE),
    # A change that is under way ends by its own lease: dropping it would hide its outcome.
    **_row(Condition.UNDER_WAY_CHANGE, Answer.WAIT, Answer.WAIT, Answer.WAIT),
    **_row(Condition.LEASE_EXPIRED, Answer.LOSE, Answer.LOSE, Answer.LOSE),
    # Whether it happened is found out whatever presses: what is undone depends on it.
    **_row(Condition.UNSURE, Answer.CHECK, Answer.CHECK, Answer.CHECK),
    **_row(Condition.FAILED, Answer.FAIL, Answer.FAIL, Answer.FAIL),
    **_row(Condition.UNKNOWN, Answer.STAY_UNKNOWN, Answer.STAY_UNKNOWN, Answer.STAY_UNKNOWN),
}
# fmt: on

# QUEUED means "again, if an attempt is left". A held attempt sent nothing, so even a guarded step
# may be tried again.
_REPEATABLE = {
    AttemptState.DONE: RunState.DONE,
    AttemptState.FAILED: RunState.QUEUED,
    AttemptState.REFUSED: RunState.FAILED,
    AttemptState.HELD: RunState.QUEUED,
    AttemptState.LOST: RunState.QUEUED,
    AttemptState.RELEASED: RunState.QUEUED,
}
_GUARDED = {
    AttemptState.DONE: RunState.DONE,
    AttemptState.FAILED: RunState.FAILED,
    AttemptState.REFUSED: RunState.FAILED,
    AttemptState.HELD: RunState.QUEUED,
    AttemptState.LOST: RunState.UNKNOWN,
    AttemptState.RELEASED: RunState.UNKNOWN,
}
VERDICT: dict[tuple[StepKind, AttemptState], RunState] = {
    **{(StepKind.READ, ended): state for ended, state in _REPEATABLE.items()},
    **{(StepKind.IDEMPOTENT, ended): state for ended, state in _REPEATABLE.items()},
    **{(StepKind.GUARDED, ended): state for ended, state in _GUARDED.items()},
}
# Of a check: it happened, it did not (and now can't any more), or one couldn't tell.
CHECK_VERDICT: dict[AttemptState, RunState] = {
    AttemptState.DONE: RunState.DONE,
    AttemptState.HELD: RunState.QUEUED,
    AttemptState.FAILED: RunState.UNKNOWN,
    AttemptState.REFUSED: RunState.UNKNOWN,
    AttemptState.LOST: RunState.UNKNOWN,
    AttemptState.RELEASED: RunState.UNKNOWN,
}


def next_effect(run: RunSnapshot, *, now_ms: int) -> Effect | None:
    """The one thing to do now; None for a finished run."""
    if run.state not in ACTIVE_STATES:
        return None
    step = standing_at(run)
    answer = NEXT[_condition(step, now_ms), _pressure(run, now_ms)]
    if answer is Answer.SUCCEED:
        return _all_done(run)
    if answer is Answer.CANCEL:
        return _end(run, RunState.CANCELLED, run.cancel_reason or f"cancelled by {run.cancel_by}")
    assert step is not None, "only a run with nothing left has no step"
    if answer is Answer.EXPIRE:
        return _end(run, RunState.FAILED, f"nobody approved {step.name} in time")
    if answer is Answer.FAIL_OVERDUE:
        return _end(run, RunState.FAILED, f"the run's deadline passed before {step.name} ended")
    if answer is Answer.FAIL:
        return _end(run, RunState.FAILED, step.reason)
    if answer is Answer.STAY_UNKNOWN:
        return Finish(state=RunState.UNKNOWN, reason=step.reason)
    return _about_step(run, step, answer)


def _about_step(run: RunSnapshot, step: StepSnapshot, answer: Answer) -> Effect:
    if answer is Answer.PERFORM:
        number = step.attempt_count + 1
        return Perform(position=step.position, name=step.name, attempt_number=number)
    if answer is Answer.CHECK:
        return Perform(
            position=step.position,
            name=step.name,
            attempt_number=step.attempt_count,
            purpose=Purpose.CHECK,
        )
    if answer is Answer.ASK:
        return Ask(position=step.position)
    if answer is Answer.FAIL_STEP:
        last = f": {step.reason}" if step.reason else ""
        return FailStep(position=step.position, reason=f"its time was over{last}")
    if answer is Answer.WAIT and step.expires_ms is not None:
        return Wait(until_ms=min(step.expires_ms, run.deadline_ms))
    assert step.lease_until_ms is not None, "only a running step waits or is lost"
    if answer is Answer.LOSE:
        return Lose(position=step.position, lease_until_ms=step.lease_until_ms)
    return Wait(until_ms=min(step.lease_until_ms, run.deadline_ms))


def verdict(
    kind: StepKind,
    ended: AttemptState,
    *,
    attempt_count: int,
    attempt_limit: int,
    purpose: Purpose = Purpose.ACT,
) -> RunState:
    """What becomes of a step whose attempt number `attempt_count` ended so."""
    state = CHECK_VERDICT[ended] if purpose is Purpose.CHECK else VERDICT[kind, ended]
    # A worker that gave its attempt back did not use it up.
    used_up = attempt_count >= attempt_limit and ended is not AttemptState.RELEASED
    return RunState.FAILED if state is RunState.QUEUED and used_up else state


def standing_at(run: RunSnapshot) -> StepSnapshot | None:
    """The step that the run stands at, following failures to where they lead; None at the end."""
    if run.ending is not None:
        return _first_undo(run)
    forward = [step for step in run.steps if not step.is_undo]
    position, came_by_failure = 0, False
    while position < len(forward):
        step = forward[position]
        is_passed_over = step.is_fallback and not came_by_failure
        came_by_failure = False
        if is_passed_over or step.state in (RunState.DONE, RunState.SKIPPED):
            position += 1
        elif step.state is RunState.FAILED and step.on_failure != ABORT:
            position = _after_failure(forward, step)
            came_by_failure = step.on_failure != CONTINUE
        else:
            return step
    return None


def undoable(steps: Iterable[StepSnapshot]) -> list[StepSnapshot]:
    """What was done and can be taken back, in the order of taking back."""
    done = [s for s in steps if not s.is_undo and s.has_undo and s.state is RunState.DONE]
    return done[::-1]


def _after_failure(forward: list[StepSnapshot], step: StepSnapshot) -> int:
    if step.on_failure == CONTINUE:
        return step.position + 1
    wanted = step.on_failure.removeprefix("step:")
    found = next((s.position for s in forward if s.name == wanted), None)
    assert found is not None and found > step.position, "a plan leads forward"
    return found


def _first_undo(run: RunSnapshot) -> StepSnapshot | None:
    """A step back that failed doesn't stop those before it from being taken back."""
    settled = (RunState.DONE, RunState.FAILED, RunState.SKIPPED)
    return next((s for s in run.steps if s.is_undo and s.state not in settled), None)


def _all_done(run: RunSnapshot) -> Finish:
    if run.ending is None:
        return Finish(state=RunState.DONE, reason="")
    failed = [s for s in run.steps if s.is_undo and s.state is RunState.FAILED]
    if not failed:
        return Finish(state=run.ending, reason=run.ending_reason)
    told = "; ".join(f"{step.name} failed: {step.reason}" for step in failed)
    ending = RunState.FAILED if run.ending is RunState.CANCELLED else run.ending
    return Finish(state=ending, reason=f"{run.ending_reason}; {told}".removeprefix("; "))


def _end(run: RunSnapshot, state: RunState, reason: str) -> Effect:
    """End now, unless something has to be taken back first."""
    if run.ending is not None:
        # Already on the way back, and out of time for it.
        return Finish(state=RunState.FAILED, reason=f"{run.ending_reason}; {reason}")
    takes_back = state is RunState.CANCELLED or run.undoes_failures
    if takes_back and undoable(run.steps):
        return BeginUndo(ending=state, reason=reason)
    return Finish(state=state, reason=reason)


def _condition(step: StepSnapshot | None, now_ms: int) -> Condition:
    if step is None:
        return Condition.NOTHING_LEFT
    if step.state is RunState.RUNNING:
        assert step.lease_until_ms is not None, "a running step holds a lease"
        if step.lease_until_ms <= now_ms:
            return Condition.LEASE_EXPIRED
        is_read = step.kind is StepKind.READ and step.purpose is Purpose.ACT
        return Condition.UNDER_WAY_READ if is_read else Condition.UNDER_WAY_CHANGE
    if step.state is RunState.WAITING:
        assert step.expires_ms is not None, "who asks says until when"
        return Condition.ASKED if now_ms < step.expires_ms else Condition.ASKED_IN_VAIN
    if step.state is RunState.UNKNOWN:
        may_check = step.has_check and step.check_count < limits.CHECKS_MAX
        return Condition.UNSURE if may_check else Condition.UNKNOWN
    if step.state is RunState.FAILED:
        return Condition.FAILED
    if step.kind is StepKind.APPROVAL:
        return Condition.TO_ASK
    is_late = step.deadline_ms is not None and step.deadline_ms <= now_ms
    return Condition.LATE if is_late else Condition.READY


def _pressure(run: RunSnapshot, now_ms: int) -> Pressure:
    # What is being taken back is taken back to the end, whoever cancels.
    if run.cancel_by and run.ending is None:
        return Pressure.CANCEL
    return Pressure.OVERDUE if run.deadline_ms <= now_ms else Pressure.NONE
