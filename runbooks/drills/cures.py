"""Whether somebody cured what a drill broke, while the drill still holds it.

A drill that puts its fault back behind a person's cure proves nothing and drives them mad. So
before every renewal the world is asked. A cure either removes the fault (the process was restarted,
the setting put back) or leads around it (the node was drained, the tenant throttled): then the
fault still stands, and the drill shows that it does no more harm.
"""

from __future__ import annotations

from dataclasses import dataclass

from runbooks.drills import limits
from storage_core.client import FleetClient
from storage_core.errors import NodeUnreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class Cure:
    """What was done, as a sentence; "" while nothing was. `is_gone`: the fault is not there."""

    text: str = ""
    is_gone: bool = False


NOTHING = Cure()


def drained(client: FleetClient, node: int, timeout_s: float) -> Cure:
    """The node was taken out of the lead for good. A node that doesn't answer tells nothing."""
    try:
        status = client.status(node, timeout_s)
    except NodeUnreachable:
        return NOTHING
    is_out = status.drained and status.role != "leader"
    return Cure(text=f"node-{node} was drained") if is_out else NOTHING


def throttled(client: FleetClient, timeout_s: float) -> Cure:
    """The drill's noisy tenant was given a limit."""
    try:
        accounts = client.accounts(timeout_s)
    except NodeUnreachable:
        return NOTHING
    found = [a.ops_per_s for a in accounts if a.name == limits.NOISY_TENANT]
    if not found or found[0] is None:
        return NOTHING
    return Cure(text=f"{limits.NOISY_TENANT} was throttled to {found[0]:g} requests/s a node")
