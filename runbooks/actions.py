"""What people and programs may do to a run: start it, retry it, cancel it.

Each is settled by one compare-and-set; who comes second gets an error that names the run and the
person who was quicker. The bell rings after the commit. Whoever may do this is the caller's to
check and to audit: `actor` is written down as it comes.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from opentelemetry import propagate

from runbooks import bell, clock, driver, journal, limits
from runbooks.clock import from_ms
from runbooks.engine import machine
from runbooks.engine.machine import RETRYABLE_STATES, RunSnapshot, RunState
from runbooks.engine.plan import JsonObject, PlannedStep, RunKind, StepKind
from runbooks.errors import AlreadyActive, BadParameter, KeyReused, TooManyRuns, WrongState
from runbooks.kinds import KINDS
from runbooks.models import Run, Step, Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """A run that somebody asks for, checked."""

    kind: RunKind
    target: str
    params: JsonObject
    subject: str
    actor: str
    key: str
    traceparent: str
    steps: tuple[PlannedStep, ...]


def start(
    kind: str,
    target: str,
    params: Mapping[str, object] | None = None,
    *,
    actor: str,
    key: str | None = None,
    subject: str = "",
) -> Run:
    """Open a run and ring for it. With a `key` seen before: that run, and nothing new.

    Raises BadParameter, AlreadyActive, KeyReused, TooManyRuns.
    """
    run_kind = KINDS.get(kind)
    if run_kind is None:
        raise BadParameter("kind", kind, f"one of {', '.join(sorted(KINDS))}")
    _check_text("target", target, limits.TARGET_CHARS_MAX, required=True)
    _check_text("actor", actor, limits.ACTOR_CHARS_MAX, required=True)
    _check_text("subject", subject, limits.SUBJECT_CHARS_MAX, required=False)
    if key is not None:
        _check_text("key", key, limits.KEY_CHARS_MAX, required=True)
    checked = run_kind.check(target, params or {})
    request = _Request(
        kind=run_kind,
        target=target,
        params=checked,
        subject=subject,
        actor=actor,
        key=key or uuid.uuid4().hex,
        traceparent=_traceparent(),
        steps=run_kind.steps(checked),
    )
    return _open(request, now_ms=clock.now_ms())


def retry(run_id: int, actor: str) -> Run:
    """Queue a run again that failed, was cancelled or is unknown, from the step where it stands.

    Finished steps are kept. For an unknown run this is the person's word that the step may be
    done again. Raises NoSuchRun, WrongState, AlreadyActive.
    """
    _check_text("actor", actor, limits.ACTOR_CHARS_MAX, required=True)
    snapshot = journal.load(run_id)
    step = machine.first_unfinished(snapshot)
    if snapshot.state not in RETRYABLE_STATES or step is None:
        raise _wrong_state(run_id, asked="retried")
    if step.attempt_count >= limits.ATTEMPTS_MAX:
        raise BadParameter("attempts", step.attempt_count, f"at most {limits.ATTEMPTS_MAX}")
    run = Run.objects.get(pk=run_id)
    kind = KINDS.get(run.kind)
    if kind is None:
        raise BadParameter("kind", run.kind, "a kind that this release knows")
    try:
        with transaction.atomic():
            if not _reopen(snapshot, step.position, kind=kind, actor=actor):
                raise _wrong_state(run_id, asked="retried")
            bell.ring_on_commit(run_id, kind.queue)
    except IntegrityError:
        raise _already_active(run.kind, run.target) from None
    return Run.objects.get(pk=run_id)


def cancel(run_id: int, actor: str) -> Run:
    """End a run: at once where nothing or only a read is under way, else after that step.

    The state of the returned run says which. Raises NoSuchRun, WrongState.
    """
    _check_text("actor", actor, limits.ACTOR_CHARS_MAX, required=True)
    snapshot, effect = driver.settle(run_id, now_ms=clock.now_ms())
    while effect is not None and not snapshot.cancel_by:
        now_ms = clock.now_ms()
        with transaction.atomic():
            if journal.advance(snapshot, state=snapshot.state, cancel_by=actor):
                journal.note(
                    run_id, now_ms, actor, snapshot.state, snapshot.state, "cancellation asked"
                )
        snapshot, effect = driver.settle(run_id, now_ms=now_ms)
    if snapshot.cancel_by != actor:
        raise _wrong_state(run_id, asked="cancelled")
    return Run.objects.get(pk=run_id)


def _open(request: _Request, *, now_ms: int) -> Run:
    earlier = Run.objects.filter(key=request.key).first()
    if earlier is not None:
        return _same_request(earlier, request)
    if Run.objects.filter(state__in=journal.ACTIVE_VALUES).count() >= limits.ACTIVE_RUNS_MAX:
        raise TooManyRuns(limits.ACTIVE_RUNS_MAX)
    try:
        with transaction.atomic():
            run = _insert(request, now_ms)
            bell.ring_on_commit(run.pk, request.kind.queue)
            return run
    except IntegrityError:
        # Lost a race: either on the key, or on the one active run of this kind and target.
        earlier = Run.objects.filter(key=request.key).first()
        if earlier is not None:
            return _same_request(earlier, request)
        raise _already_active(request.kind.name, request.target) from None


def _insert(request: _Request, now_ms: int) -> Run:
    run = Run.objects.create(
        kind=request.kind.name,
        target=request.target,
        params=request.params,
        subject=request.subject,
        actor=request.actor,
        key=request.key,
        state=RunState.QUEUED.value,
        created_at=from_ms(now_ms),
        deadline=from_ms(now_ms + request.kind.deadline_s * 1000),
        traceparent=request.traceparent,
        ring_at=from_ms(now_ms + int(limits.RING_FIRST_S * 1000)),
    )
    Step.objects.bulk_create(
        Step(
            run=run,
            position=position,
            name=step.name,
            kind=step.kind.value,
            state=RunState.QUEUED.value,
            attempt_limit=step.attempts,
            timeout_s=step.timeout_s,
        )
        for position, step in enumerate(request.steps)
    )
    Transition.objects.create(
        run=run, at=run.created_at, actor=request.actor, to_state=RunState.QUEUED.value
    )
    return run


def _reopen(snapshot: RunSnapshot, position: int, *, kind: RunKind, actor: str) -> bool:
    step = snapshot.steps[position]
    # One attempt, and one in reserve where repeating is harmless.
    more = 1 if step.kind is StepKind.GUARDED else 2
    now_ms = clock.now_ms()
    won = journal.advance(
        snapshot,
        state=RunState.QUEUED,
        cancel_by="",
        reason="",
        finished_at=None,
        deadline=from_ms(now_ms + kind.deadline_s * 1000),
        ring_at=from_ms(now_ms + int(limits.RING_FIRST_S * 1000)),
        ring_count=0,
    )
    if not won:
        return False
    Step.objects.filter(run_id=snapshot.run_id, position=position).update(
        state=RunState.QUEUED.value,
        attempt_limit=min(step.attempt_count + more, limits.ATTEMPTS_MAX),
        reason="",
    )
    journal.note(snapshot.run_id, now_ms, actor, snapshot.state, RunState.QUEUED, "retry")
    return True


def _same_request(run: Run, request: _Request) -> Run:
    if (run.kind, run.target, run.params) != (request.kind.name, request.target, request.params):
        raise KeyReused(run.pk, request.key)
    return run


def _already_active(kind: str, target: str) -> AlreadyActive:
    other = Run.objects.filter(kind=kind, target=target).order_by("-id").first()
    assert other is not None, "a run of this kind and target is why we came here"
    return AlreadyActive(other.pk, kind=kind, target=target, actor=other.actor)


def _wrong_state(run_id: int, *, asked: str) -> WrongState:
    run = Run.objects.get(pk=run_id)
    last = run.transitions.last()
    changed_by = last.actor if last is not None else ""
    return WrongState(run_id, state=run.state, asked=asked, changed_by=changed_by)


def _check_text(field: str, value: str, chars_max: int, *, required: bool) -> None:
    if len(value) > chars_max or not value.isprintable() or (required and not value.strip()):
        least = 1 if required else 0
        raise BadParameter(field, value, f"{least} to {chars_max} printable characters")


def _traceparent() -> str:
    """The W3C context of the request under way; empty without one."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent", "")
