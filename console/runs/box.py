"""The box beside the plan: what a person can decide now, about what, and what follows.

What it shows of the fleet is read when it is shown, every two seconds while a run waits; the hash
in it is that of the plan as it is at that moment, so an approval can only ever be of what is on the
screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.accounts.roles import Role
from console.runs.wording import change_of
from runbooks import approval, library, people, proof
from runbooks.approval import Condition, Proposal
from runbooks.engine import plan
from runbooks.engine.plan import Policy
from runbooks.errors import BadParameter
from runbooks.library.definition import Runbook
from runbooks.proof import Proof
from runbooks.queries import RunDetail, StepRow

SHAPES = {True: "ok", False: "firing", None: "unknown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    shape: str
    text: str
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveBox:
    """`may` says how this person may answer: "approve", "alone", or "" with `why_not`."""

    run_id: int
    deed: str
    changes: Sequence[str]
    leaves: str
    undo: str
    checks: Sequence[Check]
    plan_hash: str
    may: str
    why_not: str
    may_decline: bool

    @property
    def plan_name(self) -> str:
        return self.plan_hash[:8]


def runbook_of(kind: str) -> Runbook | None:
    """The runbook in force of that name; None for a built-in kind, or one that is gone."""
    try:
        return library.get(kind)
    except BadParameter:
        return None


def waiting_step(detail: RunDetail) -> StepRow | None:
    return next((step for step in detail.steps if step.state == "waiting"), None)


def role_to_approve(detail: RunDetail) -> Role:
    """The least role that the question asks for; a responder's if nothing is asked (any more)."""
    step = waiting_step(detail)
    rule = plan.approval_from_json(step.spec) if step is not None else None
    return Role.RESPONDER if rule is None else Role.of_word(rule.role)


def approve_box(detail: RunDetail, *, person: str, role: Role) -> ApproveBox | None:
    """The box of a run that waits for approval; None if it doesn't (any more)."""
    step = waiting_step(detail)
    if detail.run.state != "waiting" or step is None:
        return None
    proposal = approval.propose_again(detail.run.id, step.position)
    runbook = runbook_of(detail.run.kind)
    may, why_not = may_approve(proposal, requester=detail.run.actor, person=person, role=role)
    return ApproveBox(
        run_id=detail.run.id,
        deed=_deed(detail, proposal),
        changes=_changes(detail, proposal),
        leaves=runbook.leaves if runbook is not None else "",
        undo=_undo(detail, proof.of(detail.run.kind)),
        checks=[_check(condition) for condition in proposal.conditions],
        plan_hash=proposal.plan_hash,
        may=may,
        why_not=why_not,
        may_decline=role >= Role.RESPONDER,
    )


def may_approve(proposal: Proposal, *, requester: str, person: str, role: Role) -> tuple[str, str]:
    """How this person may answer, or why not."""
    rule = proposal.rule
    if role < Role.of_word(rule.role):
        return "", f"{rule.role.capitalize()} role needed to approve; yours is {role.word}"
    if people.is_second_person(person, requester=requester):
        return "approve", ""
    if rule.policy is Policy.ALONE_WITH_REASON:
        return "alone", ""
    if requester == people.TERMINAL:
        return "", (
            "A second person must approve, and nobody knows who asked at the terminal: decline it "
            "and start it here"
        )
    return "", f"Waiting for a second person: {requester} asked for this run"


def _deed(detail: RunDetail, proposal: Proposal) -> str:
    """The first change, as the button says it."""
    first = next((s for s in _behind(detail, proposal) if s.changes), None)
    title = first.title if first is not None else detail.run.title
    return f"{title[:1].lower()}{title[1:]}"


def _behind(detail: RunDetail, proposal: Proposal) -> Sequence[StepRow]:
    return [s for s in detail.steps if s.name in proposal.calls or s.name in proposal.unknown]


def _changes(detail: RunDetail, proposal: Proposal) -> Sequence[str]:
    lines = []
    for step in _behind(detail, proposal):
        if not step.changes:
            continue
        if step.name in proposal.unknown:
            lines.append(f"{step.title}: {proposal.unknown[step.name]}")
            continue
        call = proposal.calls[step.name]["call"]
        assert isinstance(call, dict), "a call is an object"
        lines.append(change_of(str(step.spec["action"]), call, proposal.leader))
    return lines


def _check(condition: Condition) -> Check:
    told = condition.told or ("holds" if condition.holds else "does not hold")
    return Check(shape=SHAPES[condition.holds], text=condition.text, told=told)


def _undo(detail: RunDetail, proven: Proof) -> str:
    back = [step.spec["undo"] for step in detail.steps if "undo" in step.spec]
    if not back:
        return "can't be taken back"
    titles = "; ".join(str(undo["title"]).lower() for undo in back if isinstance(undo, dict))
    return f"{titles}; {'proven here' if proven.undo_is_proven else 'never proven here'}"
