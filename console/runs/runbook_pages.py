"""What the pages of runbooks show: the list with its proof, and one runbook as a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from console.runs.wording import prose
from console.verdict import Verdict, plural
from runbooks import library, policies, proof
from runbooks.engine.plan import PlannedStep, StepKind
from runbooks.library.definition import Runbook
from runbooks.policies import PolicyRow
from runbooks.proof import Proof

TAGS = {
    StepKind.READ: "reads",
    StepKind.IDEMPOTENT: "changes, repeatable",
    StepKind.GUARDED: "changes once",
    StepKind.APPROVAL: "asks",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookRow:
    runbook: Runbook
    proof: Proof
    is_for: str
    policy: PolicyRow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    number: int
    step: PlannedStep
    tag: str
    asks: str


def rows() -> Sequence[RunbookRow]:
    """Every runbook in force, with what past runs prove. Two queries."""
    books = library.all()
    proofs = proof.many(
        tuple(book.name for book in books), {book.name: book.content_hash for book in books}
    )
    by_kind = {policy.finding_kind: policy for policy in policies.all()}
    return [_row(book, proofs[book.name], by_kind) for book in books]


def list_verdict(found: Sequence[RunbookRow]) -> Verdict:
    wrong = library.problems()
    if wrong:
        return Verdict(
            state="warning",
            sentence=f"{plural(len(wrong), 'error')} in runbook files: they are not in force",
            context="What was in force before stays so.",
        )
    proven = sum(1 for row in found if row.proof.is_proven)
    return Verdict(
        state="idle",
        sentence=f"{plural(len(found), 'runbook')}, {proven} proven here",
        context="Drills prove runbooks. A file in runbooks/ of the home takes the place of ours.",
    )


def page(runbook: Runbook) -> dict[str, Any]:
    """One runbook as a document. Four queries."""
    by_kind = {policy.finding_kind: policy for policy in policies.all()}
    proven = proof.of(runbook.name, content_hash=runbook.content_hash)
    row = _row(runbook, proven, by_kind)
    return {
        "verdict": _verdict(runbook, proven),
        "row": row,
        "runbook": runbook,
        "prose": _prose(runbook),
        "steps": [_line(number, step) for number, step in enumerate(runbook.steps, start=1)],
        "versions": library.versions(runbook.name),
        "matches": [(match, by_kind.get(match.kind)) for match in runbook.matches],
        "problems": [p for p in library.problems() if p.file.endswith(f"/{runbook.name}.yaml")],
    }


def _verdict(runbook: Runbook, proven: Proof) -> Verdict:
    where = "your own file" if runbook.is_own else "ships with Holdfast"
    return Verdict(
        state="ok" if proven.is_proven else "warning",
        sentence=f"{runbook.title}: {proven.sentence[:1].lower()}{proven.sentence[1:]}",
        context=f"{runbook.name} {runbook.content_hash[:8]} · {where} · {runbook.owner}",
    )


def _prose(runbook: Runbook) -> SafeString:
    return prose(runbook.summary)


def _row(runbook: Runbook, proven: Proof, by_kind: dict[str, PolicyRow]) -> RunbookRow:
    kinds = [match.kind for match in runbook.matches]
    mine = [
        by_kind[kind] for kind in kinds if kind in by_kind and by_kind[kind].runbook == runbook.name
    ]
    return RunbookRow(
        runbook=runbook,
        proof=proven,
        is_for=", ".join(kind.replace("_", " ") for kind in kinds) or "whenever a person wants",
        policy=next((policy for policy in mine if policy.is_on), None),
    )


def _line(number: int, step: PlannedStep) -> StepLine:
    rule = step.approval
    asks = ""
    if rule is not None:
        minutes = rule.expires_s // 60
        asks = f"{rule.policy.value.replace('_', ' ')}, {rule.role}, within {minutes} min"
    tag = "changes, fenced" if step.fence else TAGS[step.kind]
    return StepLine(number=number, step=step, tag=tag, asks=asks)
