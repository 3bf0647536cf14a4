"""What people decide about a run that waits for them: approve, decline, settle, take back.

Each is one compare-and-set, as all in `actions`: who comes second is told who was first.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction

from runbooks import approval, bell, clock, driver, limits, people, snapshots, turns
from runbooks.clock import from_ms
from runbooks.engine import machine
from runbooks.engine.machine import BeginUndo
from runbooks.engine.plan import Policy, StepKind
from runbooks.engine.states import Mode, RunSnapshot, RunState, StepSnapshot
from runbooks.errors import ApprovalRefused, BadParameter, PlanChanged
from runbooks.journal import advance, note
from runbooks.models import Run, Step
from runbooks.requests import already_active, check_text, wrong_state


def approve(
    run_id: int, *, actor: str, plan_hash: str, reason: str = "", alone: bool = False
) -> Run:
    """Approve the plan of that hash, and let the run go on.

    Who is no second person (`people`), such as the requester, may do so only where the rule allows
    it, with `alone` and a reason of at least APPROVAL_REASON_CHARS_MIN characters. Raises
    NoSuchRun, WrongState, BadParameter, ApprovalRefused, and PlanChanged if what would be done now
    is not what was read.
    """
    check_text("actor", actor, limits.ACTOR_CHARS_MAX, required=True)
    check_text("reason", reason, limits.REASON_CHARS_MAX, required=False)
    now_ms = clock.now_ms()
    snapshot, step = _waiting_at(run_id, now_ms, asked="approved")
    run = Run.objects.get(pk=run_id)
    steps = list(run.steps.defer("payload"))
    proposal = approval.propose(run, steps, step.position)
    is_alone = not people.is_second_person(actor, requester=run.actor)
    if is_alone:
        _check_alone(proposal.rule.policy, reason, alone, why=_why_alone(actor, run.actor))
    if plan_hash != proposal.plan_hash:
        raise PlanChanged(run_id, proposal.plan_hash)
    outcome: dict[str, object] = {"by": actor, "plan": plan_hash, "reason": reason}
    if is_alone:
        outcome["alone"] = True
    with transaction.atomic():
        if not turns.answer(snapshot, step.position, outcome=outcome, actor=actor, now_ms=now_ms):
            raise wrong_state(run_id, asked="approved")
        Run.objects.filter(pk=run_id).update(plan_hash=plan_hash)
        turns.fix_calls(run_id, proposal.calls)
        bell.ring_on_commit(run_id, driver.queue_of(run.kind))
    return Run.objects.get(pk=run_id)


def decline(run_id: int, *, actor: str, reason: str = "") -> Run:
    """Say no: the run ends cancelled, and what it did is taken back. Raises as `approve`."""
    check_text("actor", actor, limits.ACTOR_CHARS_MAX, required=True)
    check_text("reason", reason, limits.REASON_CHARS_MAX, required=False)
    now_ms = clock.now_ms()
    snapshot, _ = _waiting_at(run_id, now_ms, asked="declined")
    told = f"declined by {actor}" + (f": {reason}" if reason else "")
    with transaction.atomic():
        if not advance(snapshot, state=RunState.WAITING, cancel_by=actor, cancel_reason=told):
            raise wrong_state(run_id, asked="declined")
        bell.ring_on_commit(run_id, driver.queue_of(Run.objects.get(pk=run_id).kind))
    driver.settle(run_id, now_ms=now_ms)
    return Run.objects.get(pk=run_id)


def settle_unknown(run_id: int, *, actor: str, happened: bool) -> Run:
    """A person's word on a step that nobody could check: it happened, or it did not.

    It happened: the run goes on behind it. It did not: the step is done again. Raises NoSuchRun,
    WrongState, AlreadyActive.
    """
    check_text("actor", actor, limits.ACTOR_CHARS_MAX, required=True)
    snapshot = snapshots.load(run_id)
    step = machine.standing_at(snapshot)
    if snapshot.state is not RunState.UNKNOWN or step is None:
        raise wrong_state(run_id, asked="settled")
    run = Run.objects.get(pk=run_id)
    word = "it happened" if happened else "it did not happen"
    state = RunState.DONE if happened else RunState.QUEUED
    try:
        with transaction.atomic():
            if not _reopen(snapshot, time_s=_time_s(snapshot)):
                raise wrong_state(run_id, asked="settled")
            Step.objects.filter(pk=step.step_id).update(
                state=state.value,
                reason=f"{actor} says that {word}",
                attempt_limit=min(step.attempt_count + 1, limits.ATTEMPTS_MAX),
                deadline=None,
            )
            note(
                run_id, clock.now_ms(), actor, RunState.UNKNOWN, RunState.QUEUED,
                f"{step.name}: {word}",
            )  # fmt: skip
            bell.ring_on_commit(run_id, driver.queue_of(run.kind))
    except IntegrityError:
        raise already_active(run.kind, run.target, run.lock) from None
    return Run.objects.get(pk=run_id)


def undo(run_id: int, *, actor: str) -> Run:
    """Take back what a finished run did. Raises NoSuchRun, WrongState, AlreadyActive."""
    check_text("actor", actor, limits.ACTOR_CHARS_MAX, required=True)
    snapshot = snapshots.load(run_id)
    run = Run.objects.get(pk=run_id)
    if not can_undo(snapshot):
        raise wrong_state(run_id, asked="taken back")
    effect = BeginUndo(ending=snapshot.state, reason=f"taken back by {actor}")
    try:
        with transaction.atomic():
            if not turns.begin_undo(snapshot, effect, actor=actor, now_ms=clock.now_ms()):
                raise wrong_state(run_id, asked="taken back")
            bell.ring_on_commit(run_id, driver.queue_of(run.kind))
    except IntegrityError:
        raise already_active(run.kind, run.target, run.lock) from None
    return Run.objects.get(pk=run_id)


def may_undo(run_id: int) -> bool:
    """As `can_undo`, for a page. Three queries."""
    return can_undo(snapshots.load(run_id))


def can_undo(snapshot: RunSnapshot) -> bool:
    """Whether a finished run did anything that was not taken back yet."""
    ended = snapshot.state in (RunState.DONE, RunState.FAILED)
    is_first = snapshot.ending is None and snapshot.mode is Mode.REAL
    return ended and is_first and bool(machine.undoable(snapshot.steps))


def _waiting_at(run_id: int, now_ms: int, *, asked: str) -> tuple[RunSnapshot, StepSnapshot]:
    snapshot, _ = driver.settle(run_id, now_ms=now_ms)
    step = machine.standing_at(snapshot)
    is_waiting = snapshot.state is RunState.WAITING and not snapshot.cancel_by
    if not is_waiting or step is None or step.kind is not StepKind.APPROVAL:
        raise wrong_state(run_id, asked=asked)
    return snapshot, step


def _why_alone(actor: str, requester: str) -> str:
    if actor == requester and people.is_person(actor):
        return "you asked for this run"
    if not people.is_person(actor):
        return f"{actor} is no person by name"
    return "nobody knows who asked at the terminal"


def _check_alone(policy: Policy, reason: str, alone: bool, *, why: str) -> None:
    if policy is Policy.SECOND_PERSON:
        raise ApprovalRefused(f"{why}: a second person must approve it, and both by name")
    if not alone:
        raise ApprovalRefused(f"{why}: approve it alone with a reason")
    if len(reason.strip()) < limits.APPROVAL_REASON_CHARS_MIN:
        expected = f"at least {limits.APPROVAL_REASON_CHARS_MIN} characters"
        raise BadParameter("reason", reason, expected)


def _reopen(snapshot: RunSnapshot, *, time_s: float) -> bool:
    now_ms = clock.now_ms()
    return advance(
        snapshot,
        state=RunState.QUEUED,
        reason="",
        finished_at=None,
        deadline=from_ms(now_ms + int(time_s * 1000)),
        ring_at=from_ms(now_ms + int(limits.RING_FIRST_S * 1000)),
        ring_count=0,
    )


def _time_s(snapshot: RunSnapshot) -> float:
    """Enough for every step that is left."""
    left = [s for s in snapshot.steps if s.state is not RunState.DONE]
    return sum(s.timeout_s * s.attempt_limit for s in left) + limits.UNDO_GRACE_S
