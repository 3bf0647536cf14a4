"""What a run does next: a pure function of the run and of the time.

Whoever looks at a run, a worker that heard the bell, the watcher on its round or a person who
pressed cancel, asks the same question here and gets the same answer, so none of them decides by
itself. Two tables say everything:

- `NEXT`: the condition of the first unfinished step, and what presses on the run (a cancellation,
  its deadline) -> what to do;
- `VERDICT`: the kind of a step and how its attempt ended -> what becomes of the step.

Invariants: at most one attempt of a run is under way; a guarded step is never attempted twice
unless somebody said so; a finished run has no next effect. Claims and records are the journal's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from runbooks.engine.plan import StepKind


class RunState(StrEnum):
    """Of runs and of steps alike."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


class AttemptState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # it may be tried again
    REFUSED = "refused"  # trying again cannot help
    LOST = "lost"  # its lease expired: nobody knows how far it came
    RELEASED = "released"  # given back by a worker that was told to stop
    CANCELLED = "cancelled"


ACTIVE_STATES = (RunState.QUEUED, RunState.RUNNING)
RETRYABLE_STATES = (RunState.FAILED, RunState.UNKNOWN, RunState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSnapshot:
    """`lease_until_ms` is None where no attempt is under way."""

    position: int
    name: str
    kind: StepKind
    state: RunState
    attempt_count: int
    attempt_limit: int
    timeout_s: int
    lease_until_ms: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSnapshot:
    """`cancel_by` is empty while nobody asked for a cancellation."""

    run_id: int
    version: int
    state: RunState
    deadline_ms: int
    cancel_by: str
    steps: tuple[StepSnapshot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Perform:
    """Claim this step and do it once."""

    position: int
    name: str
    attempt_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """An attempt is under way; look again then."""

    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lose:
    """The attempt's lease, seen as `lease_until_ms`, has expired."""

    position: int
    lease_until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    state: RunState
    reason: str


Effect = Perform | Wait | Lose | Finish


class Condition(Enum):
    """Of the first step that is not done."""

    NOTHING_LEFT = auto()
    READY = auto()
    UNDER_WAY_READ = auto()  # may be dropped at any moment without harm
    UNDER_WAY_CHANGE = auto()
    LEASE_EXPIRED = auto()
    FAILED = auto()
    UNKNOWN = auto()


class Pressure(Enum):
    NONE = auto()
    CANCEL = auto()
    OVERDUE = auto()


class Answer(Enum):
    SUCCEED = auto()
    PERFORM = auto()
    WAIT = auto()
    LOSE = auto()
    FAIL = auto()
    FAIL_OVERDUE = auto()
    STAY_UNKNOWN = auto()
    CANCEL = auto()


NEXT: dict[tuple[Condition, Pressure], Answer] = {
    (Condition.NOTHING_LEFT, Pressure.NONE): Answer.SUCCEED,
    (Condition.NOTHING_LEFT, Pressure.CANCEL): Answer.SUCCEED,
    (Condition.NOTHING_LEFT, Pressure.OVERDUE): Answer.SUCCEED,
    (Condition.READY, Pressure.NONE): Answer.PERFORM,
    (Condition.READY, Pressure.CANCEL): Answer.CANCEL,
    (Condition.READY, Pressure.OVERDUE): Answer.FAIL_OVERDUE,
    (Condition.UNDER_WAY_READ, Pressure.NONE): Answer.WAIT,
    (Condition.UNDER_WAY_READ, Pressure.CANCEL): Answer.CANCEL,
    (Condition.UNDER_WAY_READ, Pressure.OVERDUE): Answer.FAIL_OVERDUE,
    # A change that is under way ends by its own lease: dropping it would hide its outcome.
    (Condition.UNDER_WAY_CHANGE, Pressure.NONE): Answer.WAIT,
    (Condition.UNDER_WAY_CHANGE, Pressure.CANCEL): Answer.WAIT,
    (Condition.UNDER_WAY_CHANGE, Pressure.OVERDUE): Answer.WAIT,
    (Condition.LEASE_EXPIRED, Pressure.NONE): Answer.LOSE,
    (Condition.LEASE_EXPIRED, Pressure.CANCEL): Answer.LOSE,
    (Condition.LEASE_EXPIRED, Pressure.OVERDUE): Answer.LOSE,
    (Condition.FAILED, Pressure.NONE): Answer.FAIL,
    (Condition.FAILED, Pressure.CANCEL): Answer.FAIL,
    (Condition.FAILED, Pressure.OVERDUE): Answer.FAIL,
    (Condition.UNKNOWN, Pressure.NONE): Answer.STAY_UNKNOWN,
    (Condition.UNKNOWN, Pressure.CANCEL): Answer.STAY_UNKNOWN,
    (Condition.UNKNOWN, Pressure.OVERDUE): Answer.STAY_UNKNOWN,
}

# QUEUED means "again, if an attempt is left".
VERDICT: dict[tuple[StepKind, AttemptState], RunState] = {
    (StepKind.READ, AttemptState.DONE): RunState.DONE,
    (StepKind.READ, AttemptState.FAILED): RunState.QUEUED,
    (StepKind.READ, AttemptState.REFUSED): RunState.FAILED,
    (StepKind.READ, AttemptState.LOST): RunState.QUEUED,
    (StepKind.READ, AttemptState.RELEASED): RunState.QUEUED,
    (StepKind.IDEMPOTENT, AttemptState.DONE): RunState.DONE,
    (StepKind.IDEMPOTENT, AttemptState.FAILED): RunState.QUEUED,
    (StepKind.IDEMPOTENT, AttemptState.REFUSED): RunState.FAILED,
    (StepKind.IDEMPOTENT, AttemptState.LOST): RunState.QUEUED,
    (StepKind.IDEMPOTENT, AttemptState.RELEASED): RunState.QUEUED,
    (StepKind.GUARDED, AttemptState.DONE): RunState.DONE,
    (StepKind.GUARDED, AttemptState.FAILED): RunState.FAILED,
    (StepKind.GUARDED, AttemptState.REFUSED): RunState.FAILED,
    (StepKind.GUARDED, AttemptState.LOST): RunState.UNKNOWN,
    (StepKind.GUARDED, AttemptState.RELEASED): RunState.UNKNOWN,
}


def next_effect(run: RunSnapshot, *, now_ms: int) -> Effect | None:
    """The one thing to do now; None for a finished run."""
    if run.state not in ACTIVE_STATES:
        return None
    step = first_unfinished(run)
    answer = NEXT[_condition(step, now_ms), _pressure(run, now_ms)]
    if answer is Answer.SUCCEED:
        return Finish(state=RunState.DONE, reason="")
    if answer is Answer.CANCEL:
        return Finish(state=RunState.CANCELLED, reason=f"cancelled by {run.cancel_by}")
    assert step is not None, "only a run with nothing left has no step"
    if answer is Answer.FAIL_OVERDUE:
        return Finish(
            state=RunState.FAILED, reason=f"the run's deadline passed before {step.name} ended"
        )
    if answer is Answer.FAIL:
        return Finish(state=RunState.FAILED, reason=step.reason)
    if answer is Answer.STAY_UNKNOWN:
        return Finish(state=RunState.UNKNOWN, reason=step.reason)
    if answer is Answer.PERFORM:
        return Perform(
            position=step.position, name=step.name, attempt_number=step.attempt_count + 1
        )
    assert step.lease_until_ms is not None, "only a running step waits or is lost"
    if answer is Answer.LOSE:
        return Lose(position=step.position, lease_until_ms=step.lease_until_ms)
    return Wait(until_ms=min(step.lease_until_ms, run.deadline_ms))


def verdict(
    kind: StepKind, ended: AttemptState, *, attempt_count: int, attempt_limit: int
) -> RunState:
    """What becomes of a step whose attempt number `attempt_count` ended so."""
    state = VERDICT[kind, ended]
    # A worker that gave its attempt back did not use it up.
    used_up = attempt_count >= attempt_limit and ended is not AttemptState.RELEASED
    return RunState.FAILED if state is RunState.QUEUED and used_up else state


def first_unfinished(run: RunSnapshot) -> StepSnapshot | None:
    """The step that the run stands at; None when all are done."""
    return next((step for step in run.steps if step.state is not RunState.DONE), None)


def _condition(step: StepSnapshot | None, now_ms: int) -> Condition:
    if step is None:
        return Condition.NOTHING_LEFT
    if step.state is RunState.RUNNING:
        assert step.lease_until_ms is not None, "a running step holds a lease"
        if step.lease_until_ms <= now_ms:
            return Condition.LEASE_EXPIRED
        is_read = step.kind is StepKind.READ
        return Condition.UNDER_WAY_READ if is_read else Condition.UNDER_WAY_CHANGE
    at_rest = {RunState.FAILED: Condition.FAILED, RunState.UNKNOWN: Condition.UNKNOWN}
    return at_rest.get(step.state, Condition.READY)


def _pressure(run: RunSnapshot, now_ms: int) -> Pressure:
    if run.cancel_by:
        return Pressure.CANCEL
    return Pressure.OVERDUE if run.deadline_ms <= now_ms else Pressure.NONE
