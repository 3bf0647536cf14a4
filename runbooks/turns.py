"""The other half of the journal: where a run turns. It asks, is answered, goes back, ends.

Each is one compare-and-set on the run, like all of `journal`: who holds an old snapshot changes
nothing and is told so.
"""

from __future__ import annotations

from django.db import transaction

from runbooks import journal, limits
from runbooks.clock import from_ms
from runbooks.engine import machine, plan
from runbooks.engine.machine import Ask, BeginUndo, FailStep, Finish
from runbooks.engine.plan import JsonObject
from runbooks.engine.states import AttemptState, RunSnapshot, RunState
from runbooks.models import Attempt, Run, Step


def ask(
    snapshot: RunSnapshot, effect: Ask, *, plan_hash: str, calls: dict[str, JsonObject], now_ms: int
) -> bool:
    """Fix the calls of the steps to come and wait for a person; False if the run moved."""
    step = Step.objects.defer("payload").get(pk=snapshot.steps[effect.position].step_id)
    rule = plan.approval_from_json(step.spec)
    assert rule is not None, "only an approval asks"
    expires_ms = now_ms + rule.expires_s * 1000
    with transaction.atomic():
        # Waiting takes nothing from the time that the steps have.
        deadline = from_ms(snapshot.deadline_ms + rule.expires_s * 1000)
        changes: dict[str, object] = {"plan_hash": plan_hash, "deadline": deadline}
        if snapshot.state is RunState.QUEUED:
            changes["started_at"] = from_ms(now_ms)
        if not journal.advance(
            snapshot, state=RunState.WAITING, ring_at=from_ms(expires_ms), **changes
        ):
            return False
        Step.objects.filter(pk=step.pk).update(
            state=RunState.WAITING.value, expires_at=from_ms(expires_ms), reason=""
        )
        fix_calls(snapshot.run_id, calls)
        journal.note(
            snapshot.run_id, now_ms, journal.ENGINE, snapshot.state, RunState.WAITING,
            f"plan {plan_hash[:8]}", waiting_for=rule.role,
        )  # fmt: skip
    return True


def answer(
    snapshot: RunSnapshot, position: int, *, outcome: JsonObject, actor: str, now_ms: int
) -> bool:
    """Pass an approval and go on; False if somebody was quicker."""
    with transaction.atomic():
        ring_at = from_ms(now_ms + int(limits.RING_FIRST_S * 1000))
        if not journal.advance(snapshot, state=RunState.RUNNING, ring_at=ring_at, ring_count=0):
            return False
        Step.objects.filter(pk=snapshot.steps[position].step_id).update(
            state=RunState.DONE.value, outcome=outcome
        )
        reason = str(outcome.get("reason", ""))
        journal.note(snapshot.run_id, now_ms, actor, snapshot.state, RunState.RUNNING, reason)
    return True


def fix_calls(run_id: int, calls: dict[str, JsonObject]) -> None:
    """Freeze what each later step will send. Inside the caller's transaction."""
    for name, call in calls.items():
        Step.objects.filter(run_id=run_id, name=name).update(approved_call=call)


def fail_step(snapshot: RunSnapshot, effect: FailStep) -> bool:
    """Close a step whose own time is over; the run goes where that failure leads."""
    with transaction.atomic():
        if not journal.advance(snapshot, state=snapshot.state):
            return False
        Step.objects.filter(pk=snapshot.steps[effect.position].step_id).update(
            state=RunState.FAILED.value, reason=effect.reason[: limits.REASON_CHARS_MAX]
        )
    return True


def begin_undo(snapshot: RunSnapshot, effect: BeginUndo, *, actor: str, now_ms: int) -> bool:
    """Add the steps that take back what was done, last first; False if the run moved."""
    rows = {row.position: row for row in Step.objects.filter(run_id=snapshot.run_id)}
    backs = []
    for done in machine.undoable(snapshot.steps):
        back = plan.undo_from_json(done.name, rows[done.position].spec)
        assert back is not None, "only what can be undone is undoable"
        backs.append(back)
    time_s = sum(back.timeout_s * back.attempts for back in backs) + limits.UNDO_GRACE_S
    with transaction.atomic():
        won = journal.advance(
            snapshot,
            state=RunState.RUNNING,
            ending=effect.ending.value,
            ending_reason=effect.reason[: limits.REASON_CHARS_MAX],
            finished_at=None,
            deadline=from_ms(now_ms + int(time_s * 1000)),
            ring_at=from_ms(now_ms + int(limits.RING_FIRST_S * 1000)),
            ring_count=0,
        )
        if not won:
            return False
        _close_open_attempts(snapshot.run_id, now_ms, effect.reason)
        Step.objects.bulk_create(
            step_row(snapshot.run_id, position, back, is_undo=True)
            for position, back in enumerate(backs, start=len(snapshot.steps))
        )
        reason = f"{effect.reason}; taking back {len(backs)} of its changes"
        journal.note(snapshot.run_id, now_ms, actor, snapshot.state, RunState.RUNNING, reason)
    return True


def finish(snapshot: RunSnapshot, effect: Finish, *, now_ms: int) -> bool:
    """End the run; False if it moved since the snapshot was taken."""
    now = from_ms(now_ms)
    backs = [step for step in snapshot.steps if step.is_undo]
    changes: dict[str, object] = {"finished_at": now, "reason": effect.reason}
    if snapshot.ending is not None and effect.state is not RunState.UNKNOWN:
        all_back = all(step.state is RunState.DONE for step in backs)
        changes["undo_state"] = RunState.DONE.value if all_back else RunState.FAILED.value
    with transaction.atomic():
        if not journal.advance(snapshot, state=effect.state, **changes):
            return False
        _close_open_attempts(snapshot.run_id, now_ms, effect.reason)
        steps = Step.objects.filter(run_id=snapshot.run_id)
        if effect.state is RunState.DONE:
            last = steps.filter(is_undo=False).defer("payload").last()
            if snapshot.ending is None and last is not None:
                Run.objects.filter(pk=snapshot.run_id).update(outcome=last.outcome)
            steps.update(payload=b"")
            steps.filter(state=RunState.QUEUED.value).update(state=RunState.SKIPPED.value)
        else:
            open_states = (RunState.RUNNING.value, RunState.WAITING.value)
            steps.filter(state__in=open_states).update(
                state=effect.state.value, reason=effect.reason
            )
        is_cancelled = effect.state is RunState.CANCELLED
        actor = snapshot.cancel_by if is_cancelled and snapshot.cancel_by else journal.ENGINE
        needed = limits.SETTLER_ROLE if effect.state is RunState.UNKNOWN else ""
        journal.note(
            snapshot.run_id, now_ms, actor, snapshot.state, effect.state, effect.reason,
            waiting_for=needed,
        )  # fmt: skip
    return True


def step_row(run_id: int, position: int, step: plan.PlannedStep, *, is_undo: bool = False) -> Step:
    """The row of a planned step, not yet saved."""
    return Step(
        run_id=run_id,
        position=position,
        name=step.name,
        kind=step.kind.value,
        state=RunState.QUEUED.value,
        attempt_limit=step.attempts,
        timeout_s=step.timeout_s,
        spec=plan.to_json(step),
        is_undo=is_undo,
    )


def _close_open_attempts(run_id: int, now_ms: int, reason: str) -> None:
    Attempt.objects.filter(step__run_id=run_id, state=AttemptState.RUNNING.value).update(
        state=AttemptState.CANCELLED.value, finished_at=from_ms(now_ms), reason=reason
    )
