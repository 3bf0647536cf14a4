"""What incidents tell the closed loop.

An open incident whose cause is named is a finding that a policy may answer with a runbook. Runs
never import incidents, so the function here is named in the setting POLICY_FINDINGS.
"""

from __future__ import annotations

from collections.abc import Sequence

from console.incidents import queries
from console.incidents.grouping import OWN_FLEET
from console.incidents.lifecycle import Severity
from console.incidents.runs import SUBJECT
from console.triage.queries import top
from runbooks import facts
from runbooks.policies import Finding

INCIDENTS_MAX = 20


def findings(_now_ms: int) -> Sequence[Finding]:
    """The first claim about each open incident of our own fleet that pages, for the policies;
    drills' as well. What can wait for the morning is no reason to act by oneself, nor is a foreign
    alert.
    """
    found = []
    leader: list[object] = []  # Looked at once, and only if some finding is about a node.
    for incident in queries.open_incidents(INCIDENTS_MAX, scope=OWN_FLEET)[0]:
        if incident.severity != Severity.PAGE:
            continue
        cause = top(incident.id)
        claim = None if cause is None else cause.first
        if claim is None:
            continue
        is_node = claim.entity.startswith("node-")
        if is_node and not leader:
            leader.append(facts.look("fleet").get("leader"))
        leads = leader[0] == claim.entity if is_node else None
        found.append(
            Finding(
                subject=f"{SUBJECT}{incident.id}",
                entity=claim.entity,
                kind=claim.kind,
                score=claim.score,
                is_leader=leads,
                params=tuple(claim.remedy.items()),
            )
        )
    return found
