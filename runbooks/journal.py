"""Every write to the run tables, each one a compare-and-set that tells whether it won.

What a run does is settled on `Run.version`: two workers may read the same snapshot, one of them
finds the version moved and gets None. What an attempt reports is settled on the attempt's own row:
once the reaper, a cancellation or the deadline has closed it, a late report changes nothing.
`claim` comes before the effect and `record` after it; between the two only the lease speaks.

Read next: `turns`, the other half of the journal: questions, ways back, ends.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, QuerySet

from runbooks import events, limits
from runbooks.clock import as_text, from_ms
from runbooks.engine import machine
from runbooks.engine.executor import Performed
from runbooks.engine.machine import Lose, Perform
from runbooks.engine.plan import JsonObject, StepKind
from runbooks.engine.states import (
    ACTIVE_STATES,
    AttemptState,
    Purpose,
    RunSnapshot,
    RunState,
)
from runbooks.events import RunEvent
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
    purpose: Purpose
    attempt_limit: int
    deadline_ms: int


def claim(snapshot: RunSnapshot, effect: Perform, *, worker: str, now_ms: int) -> Claim | None:
    """Take the step under a lease; None if somebody else moved the run first."""
    step = snapshot.steps[effect.position]
    ends_ms = step.deadline_ms or (now_ms + step.within_s * 1000 if step.within_s else None)
    timeout_s = step.timeout_s if effect.purpose is Purpose.ACT else limits.CHECK_TIMEOUT_S
    deadline_ms = max(now_ms, min(now_ms + timeout_s * 1000, snapshot.deadline_ms))
    if effect.purpose is Purpose.CHECK:
        # What may have happened is found out even when the run's time is over.
        deadline_ms = now_ms + timeout_s * 1000
    elif ends_ms is not None:
        deadline_ms = min(deadline_ms, ends_ms)
    now = from_ms(now_ms)
    ring_at = from_ms(now_ms + int(limits.RING_FIRST_S * 1000))
    started = {"started_at": now} if snapshot.state is RunState.QUEUED else {}
    number = effect.attempt_number if effect.purpose is Purpose.ACT else step.check_count + 1
    with transaction.atomic():
        if not advance(snapshot, state=RunState.RUNNING, ring_at=ring_at, ring_count=0, **started):
            return None
        Step.objects.filter(pk=step.step_id).update(
            state=RunState.RUNNING.value,
            reason="",
            deadline=from_ms(ends_ms) if ends_ms is not None else None,
        )
        attempt = Attempt.objects.create(
            step_id=step.step_id,
            purpose=effect.purpose.value,
            number=number,
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
        step_id=step.step_id,
        attempt_id=attempt.pk,
        attempt_number=effect.attempt_number,
        step_name=step.name,
        step_kind=step.kind,
        purpose=effect.purpose,
        attempt_limit=step.attempt_limit,
        deadline_ms=deadline_ms,
    )


def renew(claim: Claim, *, now_ms: int) -> bool:
    """Say "I am alive". False: this attempt no longer counts, or its time is up."""
    if now_ms >= claim.deadline_ms:
        return False
    lease_until = from_ms(_lease_end_ms(now_ms, claim.deadline_ms))
    return _running(claim).update(lease_until=lease_until) == 1


def note_sent(claim: Claim, sent: JsonObject) -> bool:
    """Write down what is about to be sent. False: this attempt no longer counts; send nothing."""
    return _running(claim).update(sent=sent) == 1


def sent_by(step_id: int) -> JsonObject:
    """What the newest attempt to act on this step was about to send; empty if it never came so far.

    Once an attempt is closed it can't note anything, so empty means that nothing ever will be sent.
    """
    acts = Attempt.objects.filter(step_id=step_id, purpose=Purpose.ACT.value)
    found = acts.order_by("-id").values_list("sent", flat=True).first()
    return dict(found or {})


def record(claim: Claim, performed: Performed, *, now_ms: int) -> bool:
    """Write down how the attempt ended. False: it was closed before, and this comes too late."""
    assert performed.state not in (AttemptState.RUNNING, AttemptState.CANCELLED), performed.state
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
            purpose=step.purpose,
        )
        Step.objects.filter(pk=attempt.step_id).update(state=after.value, reason=reason)
        if after is RunState.QUEUED:
            note(
                snapshot.run_id, now_ms, ENGINE, RunState.RUNNING, RunState.RUNNING,
                f"{reason}; trying again",
            )  # fmt: skip
    return True


def note_rung(run_id: int, *, ring_count: int, now_ms: int) -> bool:
    """Set when this run is rung again if nothing happens; False if another watcher did."""
    wait_s = min(limits.RING_FIRST_S * 2 ** min(ring_count + 1, 10), limits.RING_MAX_S)
    changed = Run.objects.filter(pk=run_id, ring_count=ring_count, state__in=ACTIVE_VALUES).update(
        ring_count=ring_count + 1, ring_at=from_ms(now_ms + int(wait_s * 1000))
    )
    return changed == 1


def advance(snapshot: RunSnapshot, *, state: RunState, **changes: object) -> bool:
    """The compare-and-set on the run itself: one of those who hold this snapshot wins."""
    changed = Run.objects.filter(pk=snapshot.run_id, version=snapshot.version).update(
        version=F("version") + 1, state=state.value, **changes
    )
    return changed == 1


def note(
    run_id: int,
    now_ms: int,
    actor: str,
    from_state: RunState | None,
    to_state: RunState,
    reason: str,
    *,
    waiting_for: str = "",
) -> None:
    """Add one line to the run's history, and tell who listens if the state changed."""
    line = Transition.objects.create(
        run_id=run_id,
        at=from_ms(now_ms),
        actor=actor[: limits.ACTOR_CHARS_MAX],
        from_state=from_state.value if from_state is not None else "",
        to_state=to_state.value,
        reason=reason[: limits.REASON_CHARS_MAX],
    )
    if from_state is to_state:
        return
    kind, target, subject, mode, asker = Run.objects.values_list(
        "kind", "target", "subject", "mode", "actor"
    ).get(pk=run_id)
    events.announce(
        RunEvent(
            run_id=run_id,
            kind=kind,
            target=target,
            subject=subject,
            from_state=line.from_state,
            to_state=line.to_state,
            actor=line.actor,
            at_ms=now_ms,
            waiting_for=waiting_for,
            requested_by=asker,
            mode=mode,
            reason=line.reason,
        )
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
        after = machine.verdict(
            claim.step_kind,
            performed.state,
            attempt_count=claim.attempt_number,
            attempt_limit=claim.attempt_limit,
            purpose=claim.purpose,
        )
        given_back = performed.state is AttemptState.RELEASED and claim.purpose is Purpose.ACT
        if given_back and claim.attempt_limit < limits.ATTEMPTS_MAX:
            # An attempt given back is not used up.
            row.update(attempt_limit=claim.attempt_limit + 1)
        changes: dict[str, object] = {"state": after.value, "reason": reason}
        if performed.outcome or claim.purpose is Purpose.ACT:
            changes["outcome"] = performed.outcome
            changes["payload"] = zlib.compress(performed.payload) if performed.payload else b""
        row.update(**changes)
        doubled_s = min(2.0 ** (claim.attempt_number - 1), limits.RING_MAX_S)
        wait_s = {
            AttemptState.FAILED: doubled_s,
            AttemptState.HELD: limits.HELD_WAIT_S,
            AttemptState.LOST: 0.0 if claim.step_kind is StepKind.GUARDED else doubled_s,
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
