"""Doing one step: from a table of typed actions, with everything that may happen caught here.

An action gets a `StepContext` and returns a `StepResult`, or raises `StepFailed`, or
`OutcomeUnknown` where it can't say whether its change happened. It touches no table. While it waits
it calls `keep_lease`, which renews the claim in the journal and raises `AttemptTaken` when the run
was cancelled, ran out of time or was given to another worker, so that no work goes on that nobody
waits for, or `WorkerStopping`. What goes wrong becomes a sentence in the run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from billiard.exceptions import SoftTimeLimitExceeded

from runbooks.engine.plan import JsonObject
from runbooks.engine.states import AttemptState

logger = logging.getLogger(__name__)


class StepFailed(Exception):
    """The step did not do its work; `again` says whether another attempt may help."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again


class OutcomeUnknown(Exception):
    """The change was sent and no answer came: it may have happened."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AttemptTaken(Exception):
    """The journal no longer counts on this attempt: stop, and record nothing."""


class WorkerStopping(Exception):
    """This worker is to end: give the attempt back undone. Never raised in a guarded step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """All that an action may know. `payload` and `outcomes` come from the steps before it.

    `params` are the run's own for a built-in kind, and the step's call for a runbook; `asked` are
    the run's own for both. `fence` is empty where the step has none.
    """

    run_id: int
    run_key: str
    step_name: str
    attempt_number: int
    target: str
    params: JsonObject
    outcomes: Mapping[str, JsonObject]
    payload: bytes
    time_left_s: float
    keep_lease: Callable[[], None]
    fence: JsonObject = field(default_factory=dict)
    subject: str = ""
    asked: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """`outcome` is shown and stored; `payload` goes to the next step and is dropped at the end."""

    outcome: JsonObject
    payload: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """How an attempt ended, for the journal."""

    state: AttemptState
    reason: str = ""
    outcome: JsonObject = field(default_factory=dict)
    payload: bytes = b""


Action = Callable[[StepContext], StepResult]


def perform(action: Action, context: StepContext) -> Performed:
    """Do the step once. Raises AttemptTaken and WorkerStopping only."""
    try:
        result = action(context)
    except StepFailed as failure:
        state = AttemptState.FAILED if failure.again else AttemptState.REFUSED
        return Performed(state=state, reason=failure.reason)
    except OutcomeUnknown as unknown:
        return Performed(state=AttemptState.LOST, reason=unknown.reason)
    except (AttemptTaken, WorkerStopping):
        raise
    except SoftTimeLimitExceeded:
        return Performed(state=AttemptState.LOST, reason="the step ran into its time limit")
    except Exception as error:  # The edge: a defect in an action must not leave the run silent.
        logger.exception("a step failed unexpectedly", extra={"run_id": context.run_id})
        return Performed(
            state=AttemptState.LOST,
            reason=f"{context.step_name} failed unexpectedly: {type(error).__name__}: {error}",
        )
    return Performed(state=AttemptState.DONE, outcome=result.outcome, payload=result.payload)
