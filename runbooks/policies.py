"""The closed loop: a runbook may start by itself for a kind of finding, where an admin said so.

A policy names a kind of finding, a runbook and the least score. When such a finding is the first
candidate of an open incident, a start is written down, due HOLD_S later, so that whoever looks can
hold it; then the watcher starts the run, which may also approve itself for as long as the policy
is on. One start for a subject and entity, ever: a runbook that did not help is a person's matter.

Findings belong to the console, and runs never import it: the setting POLICY_FINDINGS names a
function of the time in ms that returns Finding values. Whoever may do what is the caller's to check
and to audit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from runbooks import actions, clock, library, limits
from runbooks.clock import from_ms
from runbooks.errors import BadParameter, RunError, WrongPolicy
from runbooks.library.definition import Runbook
from runbooks.models import PolicyStart, RunPolicy
from runbooks.requests import check_text
from runbooks.watch import Duty

HOLD_S = 10
MIN_SCORE = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The first candidate of an open incident. `is_leader` is None for what is no node; `params`
    are what the runbook needs beside its target, such as the former value of a setting.
    """

    subject: str
    entity: str
    kind: str
    score: float
    is_leader: bool | None
    params: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRow:
    finding_kind: str
    runbook: str
    is_on: bool
    min_score: float
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRow:
    """`run_id` is None until it started; `held_by` is empty unless somebody held it."""

    id: int
    subject: str
    entity: str
    finding_kind: str
    runbook: str
    due_at: datetime
    held_by: str
    run_id: int | None
    reason: str

    def left_s(self, now_ms: int) -> float:
        """Seconds until it starts; 0 when it is due."""
        return max(0.0, (clock.to_ms(self.due_at) - now_ms) / 1000)


def all() -> tuple[PolicyRow, ...]:
    """Every policy, by kind of finding. One query."""
    return tuple(
        PolicyRow(
            finding_kind=row.finding_kind,
            runbook=row.runbook,
            is_on=row.is_on,
            min_score=row.min_score,
            changed_by=row.changed_by,
            changed_at=row.changed_at,
        )
        for row in RunPolicy.objects.all()
    )


def allow(finding_kind: str, runbook: str, *, actor: str, min_score: float = MIN_SCORE) -> None:
    """Let this runbook start by itself for this kind of finding. Raises BadParameter."""
    check_text("finding_kind", finding_kind, limits.NAME_CHARS_MAX, required=True)
    check_text("actor", actor, limits.ACTOR_CHARS_MAX, required=True)
    if not 0.0 <= min_score <= 1.0:
        raise BadParameter("min_score", min_score, "a number from 0 to 1")
    found = library.get(runbook)
    kinds = {match.kind for match in found.matches}
    if finding_kind not in kinds:
        expected = f"a kind that {runbook} is for: {', '.join(sorted(kinds)) or 'none'}"
        raise BadParameter("finding_kind", finding_kind, expected)
    _write(finding_kind, runbook=runbook, is_on=True, actor=actor, min_score=min_score)


def forbid(finding_kind: str, *, actor: str) -> None:
    """Nothing starts by itself for this kind any more, and nothing more is approved by it."""
    row = RunPolicy.objects.filter(finding_kind=finding_kind).first()
    if row is None:
        known = ", ".join(policy.finding_kind for policy in all()) or "none"
        raise BadParameter("finding_kind", finding_kind, f"one that has a policy: {known}")
    _write(
        finding_kind, runbook=row.runbook, is_on=False, actor=actor, min_score=row.min_score
    )  # fmt: skip


def pending(subject: str = "") -> tuple[StartRow, ...]:
    """Starts that are due soon and can still be held; of one subject, or all. One query."""
    rows = PolicyStart.objects.filter(settled_at=None).select_related("policy")
    if subject:
        rows = rows.filter(subject=subject)
    return tuple(_row(row) for row in rows[:20])


def hold(start_id: int, *, actor: str) -> StartRow:
    """Keep a start from happening. Raises WrongPolicy if it happened or was held before."""
    check_text("actor", actor, limits.ACTOR_CHARS_MAX, required=True)
    now = from_ms(clock.now_ms())
    held = PolicyStart.objects.filter(pk=start_id, settled_at=None).update(
        held_by=actor, settled_at=now, reason=f"held by {actor}"
    )
    row = PolicyStart.objects.select_related("policy").filter(pk=start_id).first()
    if row is None or held != 1:
        raise WrongPolicy(start_id, row.reason if row is not None else "there is no such start")
    return _row(row)


def look_after(now_ms: int) -> str:
    """One round: write down what is to start, and start what is due. For the watcher."""
    on = {row.finding_kind: row for row in RunPolicy.objects.filter(is_on=True)}
    path = getattr(settings, "POLICY_FINDINGS", "")
    if on and path:
        ask: Callable[[int], Sequence[Finding]] = import_string(path)
        for finding in ask(now_ms):
            policy = on.get(finding.kind)
            if policy is not None and finding.score >= policy.min_score:
                _plan_start(policy, finding, now_ms)
    due = PolicyStart.objects.filter(settled_at=None, due_at__lte=from_ms(now_ms))
    started = sum(_start(row, now_ms) for row in due)
    return f"{started} runs started by policy" if started else ""


def _write(finding_kind: str, *, runbook: str, is_on: bool, actor: str, min_score: float) -> None:
    RunPolicy.objects.update_or_create(
        finding_kind=finding_kind,
        defaults={
            "runbook": runbook,
            "is_on": is_on,
            "min_score": min_score,
            "changed_by": actor,
            "changed_at": from_ms(clock.now_ms()),
        },
    )


def _plan_start(policy: RunPolicy, finding: Finding, now_ms: int) -> None:
    fitting = library.for_finding(finding.kind, is_leader=finding.is_leader)
    if fitting is None or fitting.name != policy.runbook:
        return  # Not for this role, or another file is in force for it: a person looks.
    PolicyStart.objects.get_or_create(
        policy=policy,
        subject=finding.subject,
        entity=finding.entity,
        defaults={"due_at": from_ms(now_ms + HOLD_S * 1000), "params": dict(finding.params)},
    )


def _start(row: PolicyStart, now_ms: int) -> bool:
    """Start it once, unless it was held or forbidden meanwhile. Whether a run began.

    The claim and the run are one transaction: whoever holds it either comes before both, and
    nothing starts, or after, and is told so.
    """
    with transaction.atomic():
        starts = PolicyStart.objects.filter(pk=row.pk)
        if starts.filter(settled_at=None).update(settled_at=from_ms(now_ms)) != 1:
            return False
        policy = RunPolicy.objects.get(pk=row.policy_id)
        reason, run_id = "", None
        try:
            if not policy.is_on:
                raise WrongPolicy(row.pk, "the policy was switched off")
            run = actions.start_runbook(
                policy.runbook,
                {"target": target_of(library.get(policy.runbook), row.entity), **row.params},
                actor=f"policy {policy.finding_kind}",
                subject=row.subject,
                key=f"policy-start-{row.pk}",
                policy=policy.finding_kind,
            )
            run_id = run.pk
        except RunError as error:
            reason = str(error)[: limits.REASON_CHARS_MAX]
        starts.update(run_id=run_id, reason=reason)
    return run_id is not None


def target_of(runbook: Runbook, entity: str) -> str:
    """The target that a runbook takes for a finding's entity."""
    return "fleet" if runbook.target == "fleet" else entity


def _row(row: PolicyStart) -> StartRow:
    return StartRow(
        id=row.pk,
        subject=row.subject,
        entity=row.entity,
        finding_kind=row.policy.finding_kind,
        runbook=row.policy.runbook,
        due_at=row.due_at,
        held_by=row.held_by,
        run_id=row.run_id,
        reason=row.reason,
    )


POLICIES = Duty(name="policies", every_s=1.0, work=look_after)
