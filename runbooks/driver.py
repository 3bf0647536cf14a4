"""Moves a run along: asks the machine, lets the journal settle it, does at most one attempt.

Everybody goes this way: a worker that heard the bell, the watcher's reaper, a person who cancels.
All of it is safe to do twice and at the same time, because each change is a compare-and-set on
what was seen; who loses looks again.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.trace import StatusCode

from runbooks import clock, journal, limits
from runbooks.engine import executor, machine
from runbooks.engine.executor import AttemptTaken, StepContext, WorkerStopping
from runbooks.engine.machine import AttemptState, Effect, Finish, Lose, Perform, RunSnapshot
from runbooks.engine.plan import StepKind
from runbooks.journal import Claim
from runbooks.kinds import ACTIONS, KINDS
from runbooks.models import Run

logger = logging.getLogger(__name__)
tracer = trace.get_tracer("runbooks")

# A run settles in two looks (an attempt lost, then the run ended); more means that others move it.
_LOOKS_MAX = 8

_stopping = threading.Event()


def settle(run_id: int, *, now_ms: int) -> tuple[RunSnapshot, Effect | None]:
    """Do all that needs no worker: expired leases, deadlines, endings. Returns what is left."""
    snapshot = journal.load(run_id)
    for _ in range(_LOOKS_MAX):
        effect = machine.next_effect(snapshot, now_ms=now_ms)
        if isinstance(effect, Lose):
            journal.lose(snapshot, effect, now_ms=now_ms)
        elif isinstance(effect, Finish):
            journal.finish(snapshot, effect, now_ms=now_ms)
        else:
            return snapshot, effect
        snapshot = journal.load(run_id)
    return snapshot, machine.next_effect(snapshot, now_ms=now_ms)


def advance(run_id: int, *, worker: str) -> bool:
    """Do at most one attempt of the run's next step. True: ring again at once.

    A step that failed and may be tried again is rung for by the watcher, after a wait.
    """
    now_ms = clock.now_ms()
    snapshot, effect = settle(run_id, now_ms=now_ms)
    if not isinstance(effect, Perform):
        return False
    claim = journal.claim(snapshot, effect, worker=worker, now_ms=now_ms)
    if claim is None:
        return False  # Somebody was quicker, and rings when done.
    ended = _attempt(claim)
    _, left = settle(run_id, now_ms=clock.now_ms())
    return ended is AttemptState.DONE and isinstance(left, Perform)


def give_back() -> None:
    """This process is to end: attempts that may be repeated are given back at their next look."""
    _stopping.set()


def queue_of(kind: str) -> str | None:
    """Where a run of this kind is to be rung for; None if this release doesn't know the kind."""
    run_kind = KINDS.get(kind)
    return None if run_kind is None else run_kind.queue


def _attempt(claim: Claim) -> AttemptState:
    run = Run.objects.get(pk=claim.run_id)
    action = ACTIONS[run.kind, claim.step_name]
    try:
        with tracer.start_as_current_span(f"perform {claim.step_name}") as span:
            span.set_attribute("holdfast.attempt", claim.attempt_number)
            performed = executor.perform(action, _context(run, claim))
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


def _context(run: Run, claim: Claim) -> StepContext:
    steps = list(run.steps.all())
    before = next((s for s in steps if s.pk == claim.step_id), None)
    assert before is not None, "a claimed step belongs to its run"
    earlier = steps[: before.position]
    packed = bytes(earlier[-1].payload) if earlier else b""
    return StepContext(
        run_id=run.pk,
        run_key=run.key,
        step_name=claim.step_name,
        attempt_number=claim.attempt_number,
        target=run.target,
        params=run.params,
        outcomes={step.name: step.outcome for step in earlier},
        payload=zlib.decompress(packed) if packed else b"",
        time_left_s=max(0.0, (claim.deadline_ms - clock.now_ms()) / 1000),
        keep_lease=_lease_keeper(claim),
    )


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
