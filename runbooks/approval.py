"""Asking a person, bound to the plan that the person sees.

When a run comes to an approval, the calls of the steps behind it are worked out from what the steps
before it found and from the fleet as it is. The hash over runbook, parameters and these calls is
the plan's. Whoever approves sends the hash that stood in front of them; the plan is worked out
once more from the fleet as it is at that moment, and if it is another one, nothing is approved:
the approver reads what changed and decides again. What was approved is frozen and sent as it was
read.

Read next: `decisions`, which takes the answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db import transaction

from runbooks import bell, facts, journal, performing, turns
from runbooks.engine import expression, plan
from runbooks.engine.expression import BadExpression, CannotTell
from runbooks.engine.machine import Ask
from runbooks.engine.plan import ApprovalRule, JsonObject, PlannedStep, Policy, StepKind
from runbooks.engine.states import Mode, RunSnapshot
from runbooks.facts import Surroundings
from runbooks.models import Run, RunPolicy, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A before-check as it stands. `holds` is None where nobody can tell, and `told` says why."""

    step: str
    text: str
    holds: bool | None
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What would be approved now. `calls` by step; `unknown` names steps that can't be worked
    out yet, with the reason.
    """

    rule: ApprovalRule
    plan_hash: str
    calls: dict[str, JsonObject]
    unknown: dict[str, str]
    conditions: tuple[Condition, ...]
    leader: str | None
    term: int | None


def propose(run: Run, steps: list[Step], position: int) -> Proposal:
    """Work the plan out behind the approval at `position`, from the fleet as it is now."""
    rule = plan.approval_from_json(steps[position].spec)
    assert rule is not None, "only an approval asks"
    behind = steps_behind(steps, position)
    known = performing.known_facts(run, steps)
    around = Surroundings(known, lambda: facts.look(run.target))
    calls: dict[str, JsonObject] = {}
    unknown: dict[str, str] = {}
    for step in behind:
        try:
            calls[step.name] = performing.called(step, around)
        except (CannotTell, BadExpression) as error:
            unknown[step.name] = str(error)
    fleet = around["fleet"]
    assert isinstance(fleet, dict), "facts are an object"
    return Proposal(
        rule=rule,
        plan_hash=_hash(run, behind, calls),
        calls=calls,
        unknown=unknown,
        conditions=_conditions(behind, around),
        leader=fleet.get("leader"),
        term=fleet.get("term"),
    )


def propose_again(run_id: int, position: int) -> Proposal:
    """As `propose`, for a page that looks every two seconds. Two queries."""
    run = Run.objects.get(pk=run_id)
    return propose(run, list(run.steps.defer("payload")), position)


def steps_behind(steps: list[Step], position: int) -> list[Step]:
    """What an approval speaks for: the steps up to the next approval."""
    behind = []
    for step in steps[position + 1 :]:
        if step.kind == StepKind.APPROVAL.value or step.is_undo:
            break
        behind.append(step)
    return behind


def ask(snapshot: RunSnapshot, effect: Ask, *, now_ms: int) -> bool:
    """Ask for approval, or pass where nobody needs to be asked. False if the run moved."""
    run = Run.objects.get(pk=snapshot.run_id)
    steps = list(run.steps.defer("payload"))
    passed = _passes(run, steps[effect.position])
    if passed is not None:
        actor, outcome = passed
        with transaction.atomic():
            if not turns.answer(
                snapshot, effect.position, outcome=outcome, actor=actor, now_ms=now_ms
            ):
                return False
            bell.ring_on_commit(run.pk, bell.RUNS_QUEUE)
        return True
    proposal = propose(run, steps, effect.position)
    return turns.ask(
        snapshot, effect, plan_hash=proposal.plan_hash, calls=proposal.calls, now_ms=now_ms
    )


def _passes(run: Run, step: Step) -> tuple[str, JsonObject] | None:
    """Who answers without being asked, and what is noted; None if a person must."""
    rule = plan.approval_from_json(step.spec)
    assert rule is not None, "only an approval asks"
    if run.mode == Mode.DRY.value:
        return journal.ENGINE, {"would_ask": rule.role, "policy": rule.policy.value}
    if rule.policy is Policy.NONE:
        return journal.ENGINE, {"reason": "no approval is needed by the runbook's policy"}
    if run.policy:
        allowed = RunPolicy.objects.filter(
            finding_kind=run.policy, runbook=run.kind, is_on=True
        ).first()
        if allowed is not None:
            reason = f"allowed beforehand by {allowed.changed_by}"
            return f"policy {run.policy}", {"reason": reason, "by": f"policy {run.policy}"}
    return None


def conditions_of(
    steps: Iterable[PlannedStep], target: str, fleet: JsonObject
) -> tuple[Condition, ...]:
    """The before-checks of a runbook that nobody started yet, as they stand."""
    around = {"target": target, "fleet": fleet}
    return tuple(_condition(step.name, step.precheck, around) for step in steps if step.precheck)


def _conditions(behind: list[Step], around: Mapping[str, object]) -> tuple[Condition, ...]:
    texts = [(step.name, str(step.spec.get("precheck", ""))) for step in behind]
    return tuple(_condition(name, text, around) for name, text in texts if text)


def _condition(name: str, text: str, around: Mapping[str, object]) -> Condition:
    holds: bool | None
    try:
        holds, told = expression.is_true(text, around), ""
    except (CannotTell, BadExpression) as error:
        holds, told = None, str(error)
    return Condition(step=name, text=text, holds=holds, told=told)


def _hash(run: Run, behind: list[Step], calls: Mapping[str, JsonObject]) -> str:
    """Over what is approved: runbook, parameters, and each step with what it will send."""
    told = [
        run.content_hash,
        run.target,
        run.params,
        [[step.name, step.kind, step.spec, calls.get(step.name)] for step in behind],
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
