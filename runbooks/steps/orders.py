"""Sending an order to a node, and what its refusals mean for a step.

Three ends that differ in what a person may think afterwards: the node refused, so nothing was done;
nobody answered, so it may have been done; anything else is an answer. A refusal by the fence says
how the world moved, because that is the next question.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from runbooks import facts
from runbooks.engine.executor import OutcomeUnknown, StepContext, StepFailed
from storage_core.client import Fence, FleetClient, Operation
from storage_core.errors import FenceRefused, NodeUnreachable, OperationRefused, OrderRefused


def client() -> FleetClient:
    """The fleet's admin ports."""
    return FleetClient(settings.HOLDFAST)


def operation(context: StepContext) -> Operation:
    """Which attempt of which step of which run this is; a node refuses older ones."""
    return Operation(context.run_id, context.step_name, context.attempt_number)


def fence(context: StepContext) -> Fence | None:
    """The fence of this step; None where it has none. Raises StepFailed for a bad one."""
    if not context.fence:
        return None
    term = context.fence["term"]
    if not isinstance(term, int) or isinstance(term, bool):
        raise StepFailed(f"the fence's term is {term!r}, which is no number", again=False)
    return Fence(node(context.fence["leader"]), term)


def node(name: object) -> int:
    """The number of a node's name. Raises StepFailed."""
    try:
        return facts.number_of(name)
    except ValueError as error:
        raise StepFailed(str(error), again=False) from error


@contextmanager
def refusals_told(*, may_have_happened: bool) -> Iterator[None]:
    """Turns what a node's admin port raises into what a step raises."""
    try:
        yield
    except FenceRefused as refused:
        moved = f"node-{refused.current_leader} leads"
        if refused.current_leader is None:
            moved = "nobody leads"
        reason = f"The world moved: {moved}, term {refused.current_term}. Nothing done"
        raise StepFailed(reason, again=False) from refused
    except OperationRefused as refused:
        raise StepFailed(f"this attempt came too late: {refused}", again=False) from refused
    except OrderRefused as refused:
        raise StepFailed(f"refused, nothing was done: {refused}", again=False) from refused
    except NodeUnreachable as silent:
        if may_have_happened:
            raise OutcomeUnknown(str(silent)) from silent
        raise StepFailed(str(silent), again=True) from silent
