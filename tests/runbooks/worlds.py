"""A world in memory that runbooks of tests act on, and the actions that do so.

It stands in for the fleet at the two places where the engine touches it: the facts that are read,
and the fences that are raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from runbooks import actions, driver, facts, limits, performing
from runbooks.engine.executor import OutcomeUnknown, StepContext, StepFailed, StepResult
from runbooks.engine.plan import JsonObject, StepKind
from runbooks.models import Run
from runbooks.steps.registry import StepAction, the_node
from runbooks.steps.table import STEP_ACTIONS
from storage_core.errors import NodeUnreachable
from tests.runbooks.runbook_files import fleet_facts, own_runbook

DIES = "dies"  # The worker is killed after the change was sent.


class WorkerKilled(BaseException):
    """As SIGKILL: nothing of ours runs after it."""


class World:
    """`on` says which switches were thrown; `trouble` what the next change meets."""

    def __init__(self) -> None:
        self.facts: JsonObject = fleet_facts()
        self.on: list[str] = []
        self.sent: list[tuple[str, int, JsonObject, JsonObject]] = []
        self.fences: list[tuple[int, int, str, int]] = []
        self.was_done = False
        self.unreachable = False
        self.trouble: list[str] = []

    def look(self, _target: str) -> JsonObject:
        return {**self.facts, "on": list(self.on)}

    def change(self, context: StepContext) -> StepResult:
        self.sent.append((context.step_name, context.attempt_number, context.params, context.fence))
        trouble = self.trouble.pop(0) if self.trouble else ""
        if trouble == "refused":
            raise StepFailed("The world moved: node-2 leads, term 42. Nothing done", again=False)
        if trouble == "silent":
            raise OutcomeUnknown("no answer")
        if trouble == "fails":
            raise StepFailed("it broke", again=True)
        self._throw(str(context.params["switch"]))
        if trouble == DIES:
            raise WorkerKilled
        return StepResult(outcome={"switch": context.params["switch"]})

    def _throw(self, switch: str) -> None:
        if switch.startswith("not-"):
            self.on = [name for name in self.on if name != switch.removeprefix("not-")]
        elif switch not in self.on:
            self.on.append(switch)

    def raise_fence(self, node: int, run: int, step: str, attempt: int) -> bool:
        if self.unreachable:
            raise NodeUnreachable(f"node-{node} does not answer")
        self.fences.append((node, run, step, attempt))
        return self.was_done


def _switch_action(name: str, kind: StepKind, world: World) -> StepAction:
    return StepAction(
        name=name,
        kind=kind,
        sentence="Throw {{ switch }}",
        perform=world.change,
        properties={"switch": {"type": "string"}, "node": {"type": "string"}},
        required=("switch",),
        has_fence=True,
        nodes_of=the_node,
    )


@contextmanager
def world_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    monkeypatch.setattr(facts, "look", world.look)
    monkeypatch.setattr(performing, "FleetClient", lambda _settings: world)
    monkeypatch.setattr(performing, "VERIFY_EVERY_S", 0.01)
    monkeypatch.setattr(limits, "HELD_WAIT_S", 0.01)
    for name, kind in (("throw.once", StepKind.GUARDED), ("throw.again", StepKind.IDEMPOTENT)):
        monkeypatch.setitem(STEP_ACTIONS, name, _switch_action(name, kind, world))
    yield world


def start(steps: str, *, name: str = "mine", head: str = "", **asked: object) -> Run:
    """A run of a runbook with these steps, on node-1, asked for by ann."""
    told = {"actor": "ann", **asked}
    with own_runbook(steps, name=name, **({"head": head} if head else {})):
        return actions.start_runbook(name, {"target": "node-1"}, **told)  # type: ignore[arg-type]


def go(run: Run, worker: str = "host:1") -> Run:
    """As a worker that hears every ring at once."""
    for _ in range(20):
        if not driver.advance(run.pk, worker=worker):
            break
    return Run.objects.get(pk=run.pk)


def go_and_die(run: Run) -> None:
    """As a worker that is killed while it performs."""
    with pytest.raises(WorkerKilled):
        driver.advance(run.pk, worker="host:1")


Listener = Callable[[object], None]
