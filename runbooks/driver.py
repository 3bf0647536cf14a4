"""Moves a run along: asks the machine, lets the journal settle it, does an attempt.

Everybody goes this way: a worker that heard the bell, the watcher's reaper, a person who cancels.
All of it is safe to do twice and at the same time, because each change is a compare-and-set on
what was seen; who loses looks again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.trace import StatusCode

from runbooks import approval, bell, clock, journal, limits, performing, snapshots, turns
from runbooks.engine import machine
from runbooks.engine.executor import AttemptTaken, WorkerStopping
from runbooks.engine.machine import Ask, BeginUndo, Effect, FailStep, Finish, Lose, Perform, Wait
from runbooks.engine.plan import StepKind
from runbooks.engine.states import AttemptState, Purpose, RunSnapshot
from runbooks.journal import Claim
from runbooks.kinds import KINDS
from runbooks.models import Run

logger = logging.getLogger(__name__)
tracer = trace.get_tracer("runbooks")

# A run settles in a few looks (an attempt lost, a step failed, a way back begun, the run ended);
# more means that others move it.
_LOOKS_MAX = 8

_stopping = threading.Event()


def settle(run_id: int, *, now_ms: int) -> tuple[RunSnapshot, Effect | None]:
    """Do all that needs no worker: expired leases, deadlines, questions, endings.

    Returns what is left.
    """
    snapshot = snapshots.load(run_id)
    for _ in range(_LOOKS_MAX):
        effect = machine.next_effect(snapshot, now_ms=now_ms)
        if effect is None or isinstance(effect, Perform | Wait):
            return snapshot, effect
        _turn(snapshot, effect, now_ms)
        snapshot = snapshots.load(run_id)
    return snapshot, machine.next_effect(snapshot, now_ms=now_ms)


def advance(run_id: int, *, worker: str) -> bool:
    """Do attempts of the run's next steps, as long as others need not wait. True: ring at once.

    Each step is claimed before and recorded after, so the table is the truth at every moment; the
    bell between two steps is saved, that is all. A step that failed and may be tried again is rung
    for by the watcher, after a wait.
    """
    gives_way_s = time.monotonic() + limits.GO_ON_S
    snapshot, effect = settle(run_id, now_ms=clock.now_ms())
    while isinstance(effect, Perform):
        claim = journal.claim(snapshot, effect, worker=worker, now_ms=clock.now_ms())
        if claim is None:
            return False  # Somebody was quicker, and rings when done.
        ended = _attempt(claim)
        snapshot, effect = settle(run_id, now_ms=clock.now_ms())
        if not _goes_on(claim, ended, snapshot):
            return False
        if _stopping.is_set() or time.monotonic() >= gives_way_s:
            return isinstance(effect, Perform)
    return False


def _turn(snapshot: RunSnapshot, effect: Effect, now_ms: int) -> None:
    if isinstance(effect, Lose):
        journal.lose(snapshot, effect, now_ms=now_ms)
    elif isinstance(effect, Finish):
        turns.finish(snapshot, effect, now_ms=now_ms)
    elif isinstance(effect, Ask):
        approval.ask(snapshot, effect, now_ms=now_ms)
    elif isinstance(effect, FailStep):
        turns.fail_step(snapshot, effect)
    elif isinstance(effect, BeginUndo):
        actor = snapshot.cancel_by or journal.ENGINE
        turns.begin_undo(snapshot, effect, actor=actor, now_ms=now_ms)


def _goes_on(claim: Claim, ended: AttemptState, after: RunSnapshot) -> bool:
    """Whether there is anything to do at once after this attempt."""
    if ended is AttemptState.DONE or claim.purpose is Purpose.CHECK:
        return True
    if ended is AttemptState.LOST:
        return claim.step_kind is StepKind.GUARDED  # Then it is found out whether it happened.
    # Nothing is repeated at once, but the failure may have led on to another step.
    next_step = machine.standing_at(after)
    return next_step is not None and next_step.step_id != claim.step_id


def give_back() -> None:
    """This process is to end: attempts that may be repeated are given back at their next look."""
    _stopping.set()


def queue_of(kind: str) -> str:
    """Where a run of this kind is to be rung for. A kind that is not built in is a runbook."""
    run_kind = KINDS.get(kind)
    return bell.RUNS_QUEUE if run_kind is None else run_kind.queue


def _attempt(claim: Claim) -> AttemptState:
    run = Run.objects.get(pk=claim.run_id)
    try:
        with tracer.start_as_current_span(f"perform {claim.step_name}") as span:
            span.set_attribute("holdfast.attempt", claim.attempt_number)
            steps = list(run.steps.all())
            performed = performing.perform(run, steps, claim, _lease_keeper(claim))
            if performed.state is not AttemptState.DONE:
                span.set_status(StatusCode.ERROR, performed.reason)
    except AttemptTaken:
        logger.info("an attempt was taken away while it ran", extra={"run_id": run.pk})
        return AttemptState.CANCELLED
    except WorkerStopping:
        journal.release(claim, now_ms=clock.now_ms(), reason="the worker was told to stop")
        return AttemptState.RELEASED
    except SystemExit:
        # Told to end this instant. A guarded change may have happened: then its lease tells.
        if claim.step_kind is not StepKind.GUARDED:
            journal.release(claim, now_ms=clock.now_ms(), reason="the worker was stopped")
        raise
    if not journal.record(claim, performed, now_ms=clock.now_ms()):
        logger.warning("an attempt ended after it was closed", extra={"run_id": run.pk})
    return performed.state


def _lease_keeper(claim: Claim) -> Callable[[], None]:
    """Renews at most every RENEW_S, so that an action may call it as often as it likes."""
    due = time.monotonic() + limits.RENEW_S

    def keep_lease() -> None:
        nonlocal due
        # A guarded change may have happened already: it is finished, or its lease tells.
        if _stopping.is_set() and claim.step_kind is not StepKind.GUARDED:
            raise WorkerStopping
        if time.monotonic() < due:
            return
        if not journal.renew(claim, now_ms=clock.now_ms()):
            raise AttemptTaken
        due = time.monotonic() + limits.RENEW_S

    return keep_lease
