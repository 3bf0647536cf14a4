"""Runs and runbooks as lines for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from console.runs.page import run_verdict
from console.runs.plan import plan_rows
from console.runs.wording import change_of
from runbooks.approval import Proposal
from runbooks.library.definition import Runbook
from runbooks.proof import Proof
from runbooks.queries import RunDetail, StepRow

HOLDS = {True: "holds", False: "DOES NOT HOLD", None: "not known"}


def listed(runbook: Runbook, proven: Proof) -> str:
    kinds = ", ".join(match.kind for match in runbook.matches) or "-"
    return f"{runbook.name:20} {runbook.target:7} {kinds:24} {proven.sentence}"


def document(runbook: Runbook, proven: Proof) -> Iterator[str]:
    """A runbook: what it is for, what may be set, and its steps."""
    yield f"{runbook.name} {runbook.content_hash[:8]}: {runbook.title}"
    yield f"{proven.sentence}. Changes {runbook.changes or 'nothing'}; leaves {runbook.leaves}."
    yield ""
    yield from runbook.summary.strip().splitlines()
    yield ""
    yield f"target: {runbook.target}"
    for parameter in runbook.params:
        default = "needed" if parameter.default is None else f"default {parameter.default}"
        yield f"{parameter.name}: {parameter.expected}, {default}; {parameter.about}"
    for number, step in enumerate(runbook.steps, start=1):
        undo = f" (undo: {step.undo.title.lower()})" if step.undo is not None else ""
        yield f"{number:3}. {step.kind.value:10} {step.title}{undo}"


def run(detail: RunDetail, proposal: Proposal | None, *, url: str) -> Iterator[str]:
    """A run: how it stands, its steps, and what it would do if it were approved."""
    verdict = run_verdict(detail)
    yield f"{verdict.sentence}: {url}"
    yield verdict.context
    for row in plan_rows(detail):
        took = f"{row.took_s:6.1f} s" if row.took_s is not None else " " * 8
        reason = f": {row.reason}" if row.reason else ""
        yield f"{row.number:3}. {took}  {row.word:20} {row.title}{reason}"
    if proposal is not None:
        yield from _plan(detail, proposal)


def _plan(detail: RunDetail, proposal: Proposal) -> Iterator[str]:
    yield f"plan {proposal.plan_hash[:8]}, for a {proposal.rule.role} to approve:"
    for step in detail.steps:
        if step.changes and step.name in proposal.calls:
            yield f"  {_change(step, proposal.calls[step.name], proposal.leader)}"
        elif step.name in proposal.unknown:
            yield f"  {step.title}: {proposal.unknown[step.name]}"
    for each in proposal.conditions:
        told = f" ({each.told})" if each.told else ""
        yield f"  {HOLDS[each.holds]}: {each.text}{told}"


def _change(step: StepRow, called: Mapping[str, object], leader: str | None) -> str:
    call = called["call"]
    assert isinstance(call, dict), "a call is an object"
    return f"{step.title}: {change_of(str(step.spec['action']), call, leader)}"
