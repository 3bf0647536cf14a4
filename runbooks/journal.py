"""Every write to the run tables, each one a compare-and-set that tells whether it won.

What a run does is settled on `Run.version`: two workers may read the same snapshot, one of them
finds the version moved and gets None. What an attempt reports is settled on the attempt's own row:
once the reaper, a cancellation or the deadline has closed it, a late report changes nothing.
`claim` comes before the effect and `record` after it; between the two only the lease speaks.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, QuerySet

from runbooks import limits
from runbooks.clock import as_text, from_ms, to_ms
from runbooks.engine import machine
from runbooks.engine.executor import Performed
from runbooks.engine.machine import (
    ACTIVE_STATES,
    AttemptState,
    Finish,
    Lose,
    Perform,
    RunSnapshot,
    RunState,
    StepSnapshot,
)
from runbooks.engine.plan import StepKind
from runbooks.errors import NoSuchRun
from runbooks.models import Attempt, Run, Step, Transition

ENGINE = "engine"
ACTIVE_VALUES = [state.value for state in ACTIVE_STATES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to do one step once, until the lease ends or somebody takes it away."""

    run_id: int
    step_id: int
    attempt_id: int
    attempt_number: int
    step_name: str
    step_kind: StepKind
    deadline_ms: int


def load(run_id: int) -> RunSnapshot:
    """The run as the machine sees it, read in one go."""
    with transaction.atomic():
        run = Run.objects.filter(pk=run_id).first()
        if run is None:
            raise NoSuchRun(run_id)
        steps = list(run.steps.prefetch_related("attempts").defer("payload", "outcome"))
    return RunSnapshot(
        run_id=run.pk,
        version=run.version,
        state=RunState(run.state),
        deadline_ms=to_ms(run.deadline),
        cancel_by=run.cancel_by,
        steps=tuple(_step_snapshot(step) for step in steps),
    )


def claim(snapshot: RunSnapshot, effect: Perform, *, worker: str, now_ms: int) -> Claim | None:
    """Take the step under a lease; None if somebody else moved the run first."""
    step = snapshot.steps[effect.position]
    deadline_ms = min(now_ms + step.timeout_s * 1000, snapshot.deadline_ms)
    now = from_ms(now_ms)
    ring_at = from_ms(now_ms + int(limits.RING_FIRST_S * 1000))
    with transaction.atomic():
        if not advance(snapshot, state=RunState.RUNNING, ring_at=ring_at, ring_count=0):
            return None
        Run.objects.filter(pk=snapshot.run_id, started_at=None).update(started_at=now)
        row = Step.objects.defer("payload").get(run_id=snapshot.run_id, position=effect.position)
        Step.objects.filter(pk=row.pk).update(state=RunState.RUNNING.value, reason="")
        attempt = Attempt.objects.create(
            step=row,
            number=effect.attempt_number,
            state=AttemptState.RUNNING.value,
            worker=worker,
            started_at=now,
            lease_until=from_ms(_lease_end_ms(now_ms, deadline_ms)),
            deadline=from_ms(deadline_ms),
        )
        if snapshot.state is RunState.QUEUED:
            note(snapshot.run_id, now_ms, worker, RunState.QUEUED, RunState.RUNNING, "")
    return Claim(
        run_id=snapshot.run_id,
        step_id=row.pk,
        attempt_id=attempt.pk,
        attempt_number=attempt.number,
        step_name=step.name,
        step_kind=step.kind,
        deadline_ms=deadline_ms,
    )


def renew(claim: Claim, *, now_ms: int) -> bool:
    """Say "I am alive". False: this attempt no longer counts, or its time is up."""
    if now_ms >= claim.deadline_ms:
        return False
    lease_until = from_ms(_lease_end_ms(now_ms, claim.deadline_ms))
    return _running(claim).update(lease_until=lease_until) == 1


def record(claim: Claim, performed: Performed, *, now_ms: int) -> bool:
    """Write down how the attempt ended. False: it was closed before, and this comes too late."""
    assert performed.state in (AttemptState.DONE, AttemptState.FAILED, AttemptState.REFUSED)
    return _close(claim, performed, now_ms)


def release(claim: Claim, *, now_ms: int, reason: str) -> bool:
    """Give the step back undone, because this worker was told to stop."""
    return _close(claim, Performed(state=AttemptState.RELEASED, reason=reason), now_ms)


def lose(snapshot: RunSnapshot, effect: Lose, *, now_ms: int) -> bool:
    """Close the attempt whose lease expired; the step is tried again, failed or unknown."""
    step = snapshot.steps[effect.position]
    with transaction.atomic():
        attempt = Attempt.objects.filter(
            step__run_id=snapshot.run_id,
            step__position=effect.position,
            state=AttemptState.RUNNING.value,
            lease_until=from_ms(effect.lease_until_ms),
        ).first()
        if attempt is None or not advance(snapshot, state=RunState.RUNNING):
            return False  # Renewed or recorded after all.
        reason = (
            f"worker died during {step.name}; the reaper saw its lease expire at "
            f"{as_text(effect.lease_until_ms)} ({attempt.worker})"
        )
        Attempt.objects.filter(pk=attempt.pk).update(
            state=AttemptState.LOST.value, finished_at=from_ms(now_ms), reason=reason
        )
        after = machine.verdict(
            step.kind,
            AttemptState.LOST,
            attempt_count=step.attempt_count,
            attempt_limit=step.attempt_limit,
        )
        Step.objects.filter(pk=attempt.step_id).update(state=after.value, reason=reason)
        if after is RunState.QUEUED:
            note(
                snapshot.run_id, now_ms, ENGINE, RunState.RUNNING, RunState.RUNNING,
                f"{reason}; trying again",
            )  # fmt: skip
    return True


def finish(snapshot: RunSnapshot, effect: Finish, *, now_ms: int) -> bool:
    """End the run; False if it moved since the snapshot was taken."""
    now = from_ms(now_ms)
    with transaction.atomic():
        if not advance(snapshot, state=effect.state, finished_at=now, reason=effect.reason):
            return False
        Attempt.objects.filter(
            step__run_id=snapshot.run_id, state=AttemptState.RUNNING.value
        ).update(state=AttemptState.CANCELLED.value, finished_at=now, reason=effect.reason)
        steps = Step.objects.filter(run_id=snapshot.run_id)
        if effect.state is RunState.DONE:
            last = steps.defer("payload").last()
            outcome = last.outcome if last is not None else {}
            Run.objects.filter(pk=snapshot.run_id).update(outcome=outcome)
            steps.update(payload=b"")
        else:
            steps.filter(state=RunState.RUNNING.value).update(
                state=effect.state.value, reason=effect.reason
            )
        actor = snapshot.cancel_by if effect.state is RunState.CANCELLED else ENGINE
        note(snapshot.run_id, now_ms, actor, snapshot.state, effect.state, effect.reason)
    return True


def note_rung(run_id: int, *, ring_count: int, now_ms: int) -> bool:
    """Set when this run is rung again if nothing happens; False if another watcher did."""
    wait_s = min(limits.RING_FIRST_S * 2 ** min(ring_count + 1, 10), limits.RING_MAX_S)
    changed = Run.objects.filter(pk=run_id, ring_count=ring_count, state__in=ACTIVE_VALUES).update(
        ring_count=ring_count + 1, ring_at=from_ms(now_ms + int(wait_s * 1000))
    )
    return changed == 1


def _step_snapshot(step: Step) -> StepSnapshot:
    attempts = list(step.attempts.all())
    running = [a for a in attempts if a.state == AttemptState.RUNNING.value]
    assert len(running) <= 1, "the database allows one running attempt"
    return StepSnapshot(
        position=step.position,
        name=step.name,
        kind=StepKind(step.kind),
        state=RunState(step.state),
        attempt_count=len(attempts),
        attempt_limit=step.attempt_limit,
        timeout_s=step.timeout_s,
        lease_until_ms=to_ms(running[0].lease_until) if running else None,
        reason=step.reason,
    )


def advance(snapshot: RunSnapshot, *, state: RunState, **changes: object) -> bool:
    """The compare-and-set on the run itself: one of those who hold this snapshot wins."""
    changed = Run.objects.filter(pk=snapshot.run_id, version=snapshot.version).update(
        version=F("version") + 1, state=state.value, **changes
    )
    return changed == 1


def note(
    run_id: int, now_ms: int, actor: str, from_state: RunState, to_state: RunState, reason: str
) -> None:
    """Add one line to the run's history."""
    Transition.objects.create(
        run_id=run_id,
        at=from_ms(now_ms),
        actor=actor[: limits.ACTOR_CHARS_MAX],
        from_state=from_state.value,
        to_state=to_state.value,
        reason=reason[: limits.REASON_CHARS_MAX],
    )


def _close(claim: Claim, performed: Performed, now_ms: int) -> bool:
    with transaction.atomic():
        reason = performed.reason[: limits.REASON_CHARS_MAX]
        closed = _running(claim).update(
            state=performed.state.value, finished_at=from_ms(now_ms), reason=reason
        )
        if closed != 1:
            return False
        row = Step.objects.filter(pk=claim.step_id)
        attempt_limit = row.values_list("attempt_limit", flat=True).get()
        after = machine.verdict(
            claim.step_kind,
            performed.state,
            attempt_count=claim.attempt_number,
            attempt_limit=attempt_limit,
        )
        if performed.state is AttemptState.RELEASED and attempt_limit < limits.ATTEMPTS_MAX:
            row.update(attempt_limit=attempt_limit + 1)  # An attempt given back is not used up.
        row.update(
            state=after.value,
            reason=reason,
            outcome=performed.outcome,
            payload=zlib.compress(performed.payload) if performed.payload else b"",
        )
        wait_s = {
            AttemptState.FAILED: min(2.0 ** (claim.attempt_number - 1), limits.RING_MAX_S),
            AttemptState.RELEASED: 0.0,
        }.get(performed.state, limits.RING_FIRST_S)
        Run.objects.filter(pk=claim.run_id).update(
            version=F("version") + 1, ring_at=from_ms(now_ms + int(wait_s * 1000))
        )
    return True


def _running(claim: Claim) -> QuerySet[Attempt]:
    return Attempt.objects.filter(pk=claim.attempt_id, state=AttemptState.RUNNING.value)


def _lease_end_ms(now_ms: int, deadline_ms: int) -> int:
    return min(now_ms + int(limits.LEASE_S * 1000), deadline_ms)
