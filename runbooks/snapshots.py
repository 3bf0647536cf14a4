"""Reads a run as the machine sees it. Three queries, in one transaction.

A run is read before and after each of its steps, so rows are taken as they come, without making a
model of each: that is half of what a step costs.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db import transaction

from runbooks.clock import to_ms
from runbooks.engine.plan import ABORT, StepKind
from runbooks.engine.states import AttemptState, Mode, Purpose, RunSnapshot, RunState, StepSnapshot
from runbooks.errors import NoSuchRun
from runbooks.models import Attempt, Run, Step

Row = dict[str, Any]

RUN_FIELDS = (
    "pk", "version", "state", "deadline", "cancel_by", "cancel_reason", "mode", "ending",
    "ending_reason", "undoes_failures",
)  # fmt: skip
STEP_FIELDS = (
    "pk", "position", "name", "kind", "state", "attempt_limit", "timeout_s", "reason", "deadline",
    "expires_at", "spec", "is_undo",
)  # fmt: skip
ATTEMPT_FIELDS = ("step_id", "purpose", "state", "lease_until")


def load(run_id: int) -> RunSnapshot:
    """The run as the machine sees it, read in one go. Raises NoSuchRun."""
    with transaction.atomic():
        run = Run.objects.filter(pk=run_id).values(*RUN_FIELDS).first()
        if run is None:
            raise NoSuchRun(run_id)
        steps = list(Step.objects.filter(run_id=run_id).values(*STEP_FIELDS))
        attempts = list(Attempt.objects.filter(step__run_id=run_id).values(*ATTEMPT_FIELDS))
    by_step: dict[int, list[Row]] = defaultdict(list)
    for attempt in attempts:
        by_step[attempt["step_id"]].append(attempt)
    return RunSnapshot(
        run_id=run["pk"],
        version=run["version"],
        state=RunState(run["state"]),
        deadline_ms=to_ms(run["deadline"]),
        cancel_by=run["cancel_by"],
        cancel_reason=run["cancel_reason"],
        mode=Mode(run["mode"]),
        ending=RunState(run["ending"]) if run["ending"] else None,
        ending_reason=run["ending_reason"],
        undoes_failures=run["undoes_failures"],
        steps=tuple(_step(step, by_step[step["pk"]]) for step in steps),
    )


def _step(step: Row, attempts: list[Row]) -> StepSnapshot:
    running = [a for a in attempts if a["state"] == AttemptState.RUNNING.value]
    assert len(running) <= 1, "the database allows one running attempt"
    under_way = running[0] if running else None
    acts = sum(1 for attempt in attempts if attempt["purpose"] == Purpose.ACT.value)
    spec: Row = step["spec"]
    return StepSnapshot(
        position=step["position"],
        name=step["name"],
        kind=StepKind(step["kind"]),
        state=RunState(step["state"]),
        attempt_count=acts,
        attempt_limit=step["attempt_limit"],
        timeout_s=step["timeout_s"],
        lease_until_ms=to_ms(under_way["lease_until"]) if under_way else None,
        reason=step["reason"],
        step_id=step["pk"],
        purpose=Purpose(under_way["purpose"]) if under_way else Purpose.ACT,
        check_count=len(attempts) - acts,
        deadline_ms=to_ms(step["deadline"]) if step["deadline"] else None,
        expires_ms=to_ms(step["expires_at"]) if step["expires_at"] else None,
        within_s=int(spec.get("within_s", 0)),
        on_failure=str(spec.get("on_failure", ABORT)),
        is_fallback=bool(spec.get("is_fallback", False)),
        is_undo=step["is_undo"],
        has_undo="undo" in spec,
        has_check=bool(spec.get("verify")) and step["kind"] == StepKind.GUARDED.value,
    )
