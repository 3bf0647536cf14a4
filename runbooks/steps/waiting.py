"""Steps that wait for a condition, or only say something.

A wait holds its worker, so it is bounded by its step's timeout, and looks twice a second. It fails
with what was last seen, not with "timed out".
"""

from __future__ import annotations

import time

from runbooks import facts
from runbooks.engine import expression
from runbooks.engine.executor import StepContext, StepFailed, StepResult
from runbooks.engine.expression import CannotTell
from runbooks.engine.plan import StepKind
from runbooks.steps.registry import StepAction

LOOK_EVERY_S = 0.5


def wait_until(context: StepContext) -> StepResult:
    """Until an expression over the fleet's facts holds. Its names are as in a before-check."""
    condition = str(context.params["condition"])
    begun = time.monotonic()
    told = {**context.asked, "target": context.target, "run_id": context.run_id, **context.outcomes}
    while True:
        known = told | {"fleet": facts.look(context.target)}
        try:
            if expression.is_true(condition, known):
                return StepResult(outcome={"waited_s": round(time.monotonic() - begun, 1)})
            last = f"{condition} does not hold"
        except CannotTell as error:
            last = f"not known: {error}"
        pause(context, begun, last)


def note(context: StepContext) -> StepResult:
    """Say something in the run; whoever follows runs puts it where it belongs."""
    return StepResult(outcome={"text": str(context.params["text"])})


def pause(context: StepContext, begun: float, last: str) -> None:
    """A moment; or the end of waiting, with what was last seen."""
    context.keep_lease()
    if time.monotonic() - begun + LOOK_EVERY_S >= context.time_left_s:
        raise StepFailed(f"waited {time.monotonic() - begun:.0f} s: {last}", again=False)
    time.sleep(LOOK_EVERY_S)


UNTIL = StepAction(
    name="wait.until",
    kind=StepKind.READ,
    sentence="Wait until {{ condition }}",
    perform=wait_until,
    properties={"condition": {"type": "string", "minLength": 1, "maxLength": 400}},
    required=("condition",),
    expressions=("condition",),
)
NOTE = StepAction(
    name="run.note",
    kind=StepKind.READ,
    sentence="Note: {{ text }}",
    perform=note,
    properties={"text": {"type": "string", "minLength": 1, "maxLength": 500}},
    required=("text",),
)
