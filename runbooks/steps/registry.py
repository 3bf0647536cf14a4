"""What a typed action is: a name, its kind, the schema of its parameters, and the doing.

The schema is JSON Schema, checked when a runbook is read, so that a typing error is found by the
person who made it and not at night. `nodes_of` says at which nodes an order of this action may
still be under way: that is where its fence is raised before anybody asks whether it happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runbooks.engine.executor import Action
from runbooks.engine.plan import JsonObject, StepKind

NODE_SCHEMA: JsonObject = {"type": "string", "minLength": 1, "maxLength": 100}


def no_nodes(_call: Mapping[str, object], _fence: Mapping[str, object]) -> tuple[str, ...]:
    """No node remembers orders of this action."""
    return ()


def the_node(call: Mapping[str, object], _fence: Mapping[str, object]) -> tuple[str, ...]:
    """The node that the call names."""
    return (str(call["node"]),)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAction:
    """`sentence` is the imperative of the page, with `{{ }}` for what the call says; `expressions`
    are those parameters that the action itself works out, again and again.
    """

    name: str
    kind: StepKind
    sentence: str
    perform: Action
    properties: Mapping[str, JsonObject] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()
    has_fence: bool = False
    nodes_of: Callable[[Mapping[str, object], Mapping[str, object]], tuple[str, ...]] = no_nodes

    def schema(self) -> JsonObject:
        """JSON Schema of the call."""
        return {
            "type": "object",
            "properties": dict(self.properties),
            "required": list(self.required),
            "additionalProperties": False,
        }
