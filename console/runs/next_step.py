"""The next step of an incident: the runbook for its cause, what it proves, what would hold it back.

For the incident's page: `suggest` gives the context of `runs/next_step.html`. The before-checks are
read from the fleet when this is shown, without starting anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.runs.box import SHAPES, Check
from runbooks import approval, facts, library, policies, proof
from runbooks.library.definition import Runbook
from runbooks.policies import StartRow
from runbooks.proof import Proof
from runbooks.queries import RunRow, recent_runs

RUNS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """`params` beside the target are what the cause told, such as a setting's former value."""

    runbook: Runbook
    target: str
    subject: str
    params: Sequence[tuple[str, object]]
    proof: Proof
    checks: Sequence[Check]
    starts: Sequence[StartRow]
    runs: Sequence[RunRow]


def suggest(
    subject: str, *, kind: str, entity: str, params: Mapping[str, object] | None = None
) -> NextStep | None:
    """The step for a cause, such as ("incident:42", kind "fsync_stall", entity "node-1"); without a
    runbook for it, or without a cause (kind ""), capturing evidence on a node; None where neither
    helps. Three queries, and one look at the fleet.
    """
    seen = facts.look(entity)
    is_node = entity.startswith("node-")
    is_leader = seen.get("leader") == entity if is_node else None
    runbook = library.for_finding(kind, is_leader=is_leader) if kind else None
    target = entity
    if runbook is None:
        leader = seen.get("leader")
        target = entity if is_node else str(leader or "")
        if not target:
            return None
        runbook = library.get("capture-evidence")
    return NextStep(
        runbook=runbook,
        target=policies.target_of(runbook, target),
        subject=subject,
        params=tuple((params or {}).items()),
        proof=proof.of(runbook.name, content_hash=runbook.content_hash),
        checks=[
            Check(
                shape=SHAPES[condition.holds],
                text=condition.text,
                told=condition.told or ("holds" if condition.holds else "does not hold"),
            )
            for condition in approval.conditions_of(runbook.steps, target, seen)
        ],
        starts=policies.pending(subject),
        runs=recent_runs(RUNS_SHOWN, subject=subject),
    )
