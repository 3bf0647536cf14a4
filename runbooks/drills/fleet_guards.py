"""What the fleet must look like before a drill takes one node from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from runbooks.drills import limits
from runbooks.drills.errors import GuardResult
from runbooks.drills.scenarios import Scenario
from storage_core.client import NodeStatus
from storage_core.errors import NodeUnreachable

Statuses = Mapping[int, NodeStatus | NodeUnreachable]


def fleet_answers(statuses: Statuses) -> GuardResult:
    """Every node answers for itself."""
    silent = [f"node-{n}" for n, status in statuses.items() if isinstance(status, NodeUnreachable)]
    text = f"no answer from {', '.join(silent)}" if silent else f"all {len(statuses)} nodes answer"
    return GuardResult(name="fleet-answers", passed=not silent, text=text)


def one_leader(statuses: Statuses) -> GuardResult:
    """Those that answer agree on who leads, in one term."""
    seen = {(s.leader, s.term) for s in statuses.values() if isinstance(s, NodeStatus)}
    if len(seen) == 1:
        leader, term = seen.pop()
        if leader is not None:
            text = f"node-{leader} leads in term {term}"
            return GuardResult(name="one-leader", passed=True, text=text)
    return GuardResult(name="one-leader", passed=False, text="the nodes don't agree who leads")


def quorum_margin(statuses: Statuses, scenario: Scenario) -> GuardResult:
    """A quorum is left, and caught up, when the target is gone."""
    up = [s for s in statuses.values() if isinstance(s, NodeStatus)]
    needed = len(statuses) // 2 + 1
    commit = max((s.commit_index for s in up), default=0)
    near = sum(1 for s in up if commit - s.applied_index <= limits.LAG_ENTRIES_MAX)
    left = near - (1 if scenario.costs_a_node else 0)
    text = f"{left} of {len(statuses)} nodes stay and are caught up; a quorum is {needed}"
    return GuardResult(name="quorum-margin", passed=left >= needed, text=text)


def fleet_guards(statuses: Statuses, scenario: Scenario) -> tuple[GuardResult, ...]:
    """All of them."""
    return fleet_answers(statuses), one_leader(statuses), quorum_margin(statuses, scenario)
