"""The step that sets one runtime setting of a node; until the node restarts."""

from __future__ import annotations

from runbooks.engine.executor import StepContext, StepFailed, StepResult
from runbooks.engine.plan import JsonObject, StepKind
from runbooks.steps import orders
from runbooks.steps.registry import StepAction
from storage_core.client import NodeStatus


def set_value(context: StepContext) -> StepResult:
    """Set it on the node, or for `fleet` on every node that answers. Says what it was before."""
    name, value = str(context.params["name"]), context.params["value"]
    if not isinstance(value, int) or isinstance(value, bool):
        raise StepFailed(f"value is {value!r}, which is no whole number", again=False)
    client = orders.client()
    target = context.params["node"]
    before: JsonObject = {}
    with orders.refusals_told(may_have_happened=False):
        answering = [n for n, s in client.statuses().items() if isinstance(s, NodeStatus)]
        for number in answering if target == "fleet" else [orders.node(target)]:
            before[f"node-{number}"] = client.configuration(number).get(name)
            client.configure(number, name, value)
    return StepResult(outcome={"name": name, "value": value, "before": before})


SET = StepAction(
    name="config.set",
    kind=StepKind.IDEMPOTENT,
    sentence="Set {{ name }} to {{ value }} on {{ node }}",
    perform=set_value,
    properties={
        "node": {"type": "string", "maxLength": 100},
        "name": {"type": "string", "minLength": 1, "maxLength": 64},
        "value": {"type": "integer"},
    },
    required=("node", "name", "value"),
)
