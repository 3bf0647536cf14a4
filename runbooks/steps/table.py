"""The table of typed actions that a runbook's steps may name."""

from __future__ import annotations

from runbooks.steps import config, evidence, node, raft, slo, spot_check, tenant, waiting
from runbooks.steps.registry import StepAction

STEP_ACTIONS: dict[str, StepAction] = {
    action.name: action
    for action in (
        raft.STATUS,
        raft.TRANSFER_LEADER,
        node.DRAIN,
        node.UNDRAIN,
        node.RESTART,
        node.RESUME,
        tenant.SHARE,
        tenant.THROTTLE,
        config.SET,
        evidence.CAPTURE,
        evidence.STAGE_SHARE,
        waiting.UNTIL,
        slo.WAIT,
        spot_check.CHECK,
        waiting.NOTE,
    )
}
