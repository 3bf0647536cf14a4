"""Steps about one node: keep it from leading, let it lead again, restart it, let it run on."""

from __future__ import annotations

from django.conf import settings

from runbooks.engine.executor import OutcomeUnknown, StepContext, StepFailed, StepResult
from runbooks.engine.plan import JsonObject, StepKind
from runbooks.steps import orders
from runbooks.steps.registry import NODE_SCHEMA, StepAction, the_node
from storage_core.fleet.client import Refused, SupervisorAway, ask


def drain(context: StepContext) -> StepResult:
    """The node neither leads nor campaigns; it votes and stores as before."""
    return _drain(context, on=True)


def undrain(context: StepContext) -> StepResult:
    """The node may lead again."""
    return _drain(context, on=False)


def restart(context: StepContext) -> StepResult:
    """The supervisor ends the node's process and starts it again: only the one that was meant, so
    that an order that comes late never ends its successor.
    """
    name = f"node-{orders.node(context.params['node'])}"
    meant = context.params["process"]
    assert isinstance(meant, int), "by the schema"
    try:
        ask(settings.HOLDFAST.run, "restart", {"name": name, "process": meant})
    except Refused as refused:
        # Perhaps an earlier attempt did it: that shows in the node, not here.
        raise OutcomeUnknown(f"the supervisor refused: {refused}") from refused
    except SupervisorAway as silent:
        raise OutcomeUnknown(str(silent)) from silent
    return StepResult(outcome={"node": name})


def resume(context: StepContext) -> StepResult:
    """A stopped process (SIGSTOP) runs on; one that runs is not touched."""
    name = f"node-{orders.node(context.params['node'])}"
    try:
        ask(settings.HOLDFAST.run, "resume", {"name": name})
    except Refused as refused:
        raise StepFailed(f"the supervisor refused: {refused}", again=False) from refused
    except SupervisorAway as silent:
        raise StepFailed(str(silent), again=True) from silent
    return StepResult(outcome={"node": name})


def _drain(context: StepContext, *, on: bool) -> StepResult:
    number = orders.node(context.params["node"])
    with orders.refusals_told(may_have_happened=False):
        orders.client().drain(
            number,
            on,
            operation=orders.operation(context),
            timeout_s=max(0.1, min(5.0, context.time_left_s)),
        )
    return StepResult(outcome={"node": f"node-{number}", "drained": on})


PROCESS_SCHEMA: JsonObject = {"type": "integer", "minimum": 1}

DRAIN = StepAction(
    name="node.drain",
    kind=StepKind.IDEMPOTENT,
    sentence="Keep {{ node }} from leading",
    perform=drain,
    properties={"node": NODE_SCHEMA},
    required=("node",),
    nodes_of=the_node,
)
UNDRAIN = StepAction(
    name="node.undrain",
    kind=StepKind.IDEMPOTENT,
    sentence="Let {{ node }} lead again",
    perform=undrain,
    properties={"node": NODE_SCHEMA},
    required=("node",),
    nodes_of=the_node,
)
RESTART = StepAction(
    name="node.restart",
    kind=StepKind.GUARDED,
    sentence="Restart {{ node }}",
    perform=restart,
    properties={"node": NODE_SCHEMA, "process": PROCESS_SCHEMA},
    required=("node", "process"),
)
RESUME = StepAction(
    name="node.resume",
    kind=StepKind.IDEMPOTENT,
    sentence="Let {{ node }} run on",
    perform=resume,
    properties={"node": NODE_SCHEMA},
    required=("node",),
)
