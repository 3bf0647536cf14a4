"""Steps about who leads: look at it, and move it under a fence."""

from __future__ import annotations

from collections.abc import Mapping

from runbooks import facts
from runbooks.engine.executor import StepContext, StepFailed, StepResult
from runbooks.engine.plan import StepKind
from runbooks.steps import orders
from runbooks.steps.registry import NODE_SCHEMA, StepAction


def look(context: StepContext) -> StepResult:
    """The fleet's facts, as the outcome of a step, so that later steps can go by them."""
    seen = facts.look(context.target)
    if not seen["answering"]:
        raise StepFailed("no node answers", again=True)
    return StepResult(outcome=seen)


def transfer_leader(context: StepContext) -> StepResult:
    """Hand the lead to a node, only if the fence's leader still leads in its term."""
    to = orders.node(context.params["to"])
    with orders.refusals_told(may_have_happened=True):
        orders.client().transfer(
            to,
            fence=orders.fence(context),
            operation=orders.operation(context),
            timeout_s=max(0.1, min(5.0, context.time_left_s)),
        )
    return StepResult(outcome={"to": f"node-{to}"})


def _leader_in_fence(call: Mapping[str, object], fence: Mapping[str, object]) -> tuple[str, ...]:
    """Only the leader that the fence names can have been asked."""
    return (str(fence["leader"]),) if fence else ()


STATUS = StepAction(
    name="raft.status",
    kind=StepKind.READ,
    sentence="Look at who leads and how far the others are",
    perform=look,
)
TRANSFER_LEADER = StepAction(
    name="raft.transfer_leader",
    kind=StepKind.GUARDED,
    sentence="Move leadership to {{ to }}",
    perform=transfer_leader,
    properties={"to": NODE_SCHEMA},
    required=("to",),
    has_fence=True,
    nodes_of=_leader_in_fence,
)
