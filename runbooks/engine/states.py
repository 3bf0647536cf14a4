"""The words of runs, steps and attempts, and the snapshot that `machine` decides on.

Read next: `machine`, whose tables say what follows from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runbooks.engine.plan import ABORT, StepKind


class RunState(StrEnum):
    """Of runs and of steps alike; only a step is ever skipped."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"  # for a person's approval
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"  # a change may have happened or not; a person settles it
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class AttemptState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # it may be tried again
    REFUSED = "refused"  # trying again cannot help
    HELD = "held"  # its before-check said no: nothing was sent
    LOST = "lost"  # its lease expired, or no answer came: nobody knows how far it came
    RELEASED = "released"  # given back by a worker that was told to stop
    CANCELLED = "cancelled"


class Purpose(StrEnum):
    """What an attempt is for: doing the step, or finding out whether a lost one happened."""

    ACT = "act"
    CHECK = "check"


class Mode(StrEnum):
    """A dry run reads and checks for real, and changes nothing."""

    REAL = "real"
    DRY = "dry"


ACTIVE_STATES = (RunState.QUEUED, RunState.RUNNING, RunState.WAITING)
RETRYABLE_STATES = (RunState.FAILED, RunState.UNKNOWN, RunState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSnapshot:
    """Times are None where there is none: `lease_until_ms` while no attempt is under way,
    `deadline_ms` before the first one, `expires_ms` while nobody is asked.

    `check_count` counts the looks at whether a lost attempt happened. `within_s` bounds all
    attempts together; 0 is no bound.
    """

    position: int
    name: str
    kind: StepKind
    state: RunState
    attempt_count: int
    attempt_limit: int
    timeout_s: int
    lease_until_ms: int | None
    reason: str
    step_id: int = 0
    within_s: int = 0
    purpose: Purpose = Purpose.ACT
    check_count: int = 0
    deadline_ms: int | None = None
    expires_ms: int | None = None
    on_failure: str = ABORT
    is_fallback: bool = False
    is_undo: bool = False
    has_undo: bool = False
    has_check: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSnapshot:
    """`cancel_by` is empty while nobody asked for a cancellation. `ending` is the state in which a
    run ends that is taking back what it did; None before that.
    """

    run_id: int
    version: int
    state: RunState
    deadline_ms: int
    cancel_by: str
    steps: tuple[StepSnapshot, ...]
    mode: Mode = Mode.REAL
    ending: RunState | None = None
    ending_reason: str = ""
    cancel_reason: str = ""
    undoes_failures: bool = False
