"""Runs and runbooks for other programs, as JSON; the API and the commands say the same words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.urls import reverse

from console.runs.box import waiting_step
from console.runs.plan import plan_rows
from runbooks import approval, library, proof
from runbooks.approval import Proposal
from runbooks.engine.plan import PlannedStep
from runbooks.library.definition import Runbook
from runbooks.proof import Proof
from runbooks.queries import RunDetail, RunRow

Json = dict[str, Any]


def run_json(run: RunRow) -> Json:
    """One line of a list; times are ISO 8601 in UTC, null where it did not come so far."""
    return {
        "id": run.id,
        "kind": run.kind,
        "title": run.title,
        "target": run.target,
        "params": run.params,
        "subject": run.subject,
        "actor": run.actor,
        "mode": run.mode,
        "state": run.state,
        "reason": run.reason,
        "undo": run.undo_state,
        "outcome": run.outcome,
        "created": run.created_at.isoformat(),
        "started": _iso(run.started_at),
        "finished": _iso(run.finished_at),
        "url": reverse("run", args=[run.id]),
    }


def whole_json(detail: RunDetail) -> Json:
    """A run with its steps; while it waits for approval, what would be approved now."""
    proposal = proposal_of(detail)
    shown = zip(plan_rows(detail), detail.steps, strict=True)
    return {
        "run": run_json(detail.run),
        "steps": [
            {
                "name": step.name,
                "title": step.title,
                "does": row.tag,
                "state": step.state,
                "reason": step.reason,
                "attempts": len(step.attempts),
                "took_s": step.took_s,
                "is_undo": step.is_undo,
                "outcome": step.outcome,
            }
            for row, step in shown
        ],
        "waits": None if proposal is None else _proposal_json(proposal),
    }


def proposal_of(detail: RunDetail) -> Proposal | None:
    """What would be approved now, the fleet being as it is; None if the run doesn't wait."""
    step = waiting_step(detail)
    if detail.run.state != "waiting" or step is None:
        return None
    return approval.propose_again(detail.run.id, step.position)


def runbook_json(runbook: Runbook, proven: Proof) -> Json:
    """One runbook in force."""
    return {
        "name": runbook.name,
        "title": runbook.title,
        "owner": runbook.owner,
        "target": runbook.target,
        "for": [{"kind": match.kind, "role": match.role} for match in runbook.matches],
        "is_own": runbook.is_own,
        "version": runbook.content_hash,
        "has_undo": runbook.has_undo,
        "proof": {
            "sentence": proven.sentence,
            "done": proven.done,
            "tried": proven.tried,
            "median_s": proven.median_s,
            "undo_is_proven": proven.undo_is_proven,
        },
        "url": reverse("runbook", args=[runbook.name]),
    }


def runbooks_json() -> list[Json]:
    """Every runbook in force, with its proof. One query."""
    books = library.all()
    hashes = {book.name: book.content_hash for book in books}
    proofs = proof.many(tuple(hashes), hashes)
    return [runbook_json(book, proofs[book.name]) for book in books]


def document_json(runbook: Runbook) -> Json:
    """A runbook with its prose, parameters and steps. One query."""
    proven = proof.of(runbook.name, content_hash=runbook.content_hash)
    return runbook_json(runbook, proven) | {
        "summary": runbook.summary,
        "params": [
            {
                "name": parameter.name,
                "type": parameter.type,
                "default": parameter.default,
                "expected": parameter.expected,
                "about": parameter.about,
            }
            for parameter in runbook.params
        ],
        "steps": [_planned_json(step) for step in runbook.steps],
    }


def _planned_json(step: PlannedStep) -> Json:
    return {
        "name": step.name,
        "title": step.title,
        "kind": step.kind.value,
        "action": step.action,
        "with": step.call,
        "precheck": step.precheck,
        "expect": step.expect,
        "verify": step.verify,
        "undo": None if step.undo is None else step.undo.title,
    }


def _proposal_json(proposal: Proposal) -> Mapping[str, Any]:
    return {
        "plan": proposal.plan_hash,
        "role": proposal.rule.role,
        "policy": proposal.rule.policy.value,
        "calls": proposal.calls,
        "not_known": proposal.unknown,
        "conditions": [
            {"step": each.step, "text": each.text, "holds": each.holds, "told": each.told}
            for each in proposal.conditions
        ],
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
