"""What people and programs may do to a run: start it, retry it, cancel it, decide about it.

Each is settled by one compare-and-set; who comes second gets an error that names the run and the
person who was quicker. The bell rings after the commit. Whoever may do this is the caller's to
check and to audit: `actor` is written down as it comes.

Read next: `decisions`, for what is done about a run that waits for somebody.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from django.db import IntegrityError, transaction

from runbooks import bell, clock, driver, journal, library, limits, snapshots
from runbooks.clock import from_ms
from runbooks.decisions import approve, decline, settle_unknown, undo
from runbooks.engine import machine
from runbooks.engine.plan import JsonObject, PlannedStep, RunKind, StepKind
from runbooks.engine.states import RETRYABLE_STATES, Mode, RunSnapshot, RunState
from runbooks.errors import BadParameter, KeyReused, TooManyRuns
from runbooks.kinds import KINDS
from runbooks.library.definition import Runbook, check_target
from runbooks.models import Run, RunbookVersion, Step
from runbooks.requests import already_active, check_text, traceparent, wrong_state
from runbooks.turns import step_row

__all__ = [
    "approve",
    "cancel",
    "decline",
    "remember",
    "retry",
    "settle_unknown",
    "start",
    "start_runbook",
    "undo",
]


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
    mode: Mode = Mode.REAL
    content_hash: str = ""
    policy: str = ""

    @property
    def lock(self) -> str:
        return self.kind.lock(self.target, self.params)


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
    return _open(
        _request(run_kind, target, params or {}, actor=actor, key=key, subject=subject),
        now_ms=clock.now_ms(),
    )


def start_runbook(
    name: str,
    params: Mapping[str, object],
    *,
    actor: str,
    subject: str = "",
    mode: Literal["real", "dry"] = "real",
    key: str | None = None,
    policy: str = "",
) -> Run:
    """Start the version of a runbook that is in force. The target is among the parameters, as
    `target` or by its kind (`node`, `tenant`); a fleet needs none.

    `policy` is the kind of finding whose policy starts it, which may then approve it, too. Raises
    BadParameter, AlreadyActive, KeyReused, TooManyRuns.
    """
    runbook = library.get(name)
    if mode not in tuple(Mode):
        raise BadParameter("mode", mode, "real or dry")
    target, rest = _split_target(runbook, params)
    check_target(runbook.target, target)
    kind = runbook.kind()
    request = _request(
        kind, target, rest, actor=actor, key=key, subject=subject,
        mode=Mode(mode), content_hash=runbook.content_hash, policy=policy,
    )  # fmt: skip
    remember((runbook,), now_ms=clock.now_ms())
    return _open(request, now_ms=clock.now_ms())


def remember(runbooks: tuple[Runbook, ...], *, now_ms: int) -> tuple[str, ...]:
    """Keep the texts that are in force now. Returns the names of those that were new."""
    hashes = [runbook.content_hash for runbook in runbooks]
    known = set(
        RunbookVersion.objects.filter(content_hash__in=hashes).values_list(
            "content_hash", flat=True
        )
    )
    new = [runbook for runbook in runbooks if runbook.content_hash not in known]
    RunbookVersion.objects.bulk_create(
        [
            RunbookVersion(
                name=runbook.name,
                content_hash=runbook.content_hash,
                text=runbook.text,
                is_own=runbook.is_own,
                first_seen_at=from_ms(now_ms),
            )
            for runbook in new
        ],
        ignore_conflicts=True,
    )
    return tuple(runbook.name for runbook in new)


def retry(run_id: int, actor: str) -> Run:
    """Queue a run again that failed, was cancelled or is unknown, from the step where it stands.

    Finished steps are kept. For an unknown run this is the person's word that the step may be
    done again. Raises NoSuchRun, WrongState, AlreadyActive.
    """
    check_text("actor", actor, limits.ACTOR_CHARS_MAX, required=True)
    snapshot = snapshots.load(run_id)
    step = machine.standing_at(snapshot)
    is_over = snapshot.state in RETRYABLE_STATES and snapshot.ending is None
    if not is_over or step is None:
        raise wrong_state(run_id, asked="retried")
    if step.attempt_count >= limits.ATTEMPTS_MAX:
        raise BadParameter("attempts", step.attempt_count, f"at most {limits.ATTEMPTS_MAX}")
    run = Run.objects.get(pk=run_id)
    try:
        with transaction.atomic():
            if not _reopen(snapshot, step.position, run=run, actor=actor):
                raise wrong_state(run_id, asked="retried")
            bell.ring_on_commit(run_id, driver.queue_of(run.kind))
    except IntegrityError:
        raise already_active(run.kind, run.target, run.lock) from None
    return Run.objects.get(pk=run_id)


def cancel(run_id: int, actor: str, reason: str = "") -> Run:
    """End a run: at once where nothing or only a read is under way, else after that step; what it
    did is taken back first.

    The state of the returned run says which. `reason` stands in the run in place of "cancelled by".
    Raises NoSuchRun, WrongState.
    """
    check_text("actor", actor, limits.ACTOR_CHARS_MAX, required=True)
    check_text("reason", reason, limits.REASON_CHARS_MAX, required=False)
    snapshot, effect = driver.settle(run_id, now_ms=clock.now_ms())
    while effect is not None and not snapshot.cancel_by:
        now_ms = clock.now_ms()
        with transaction.atomic():
            if journal.advance(
                snapshot, state=snapshot.state, cancel_by=actor, cancel_reason=reason
            ):
                journal.note(
                    run_id, now_ms, actor, snapshot.state, snapshot.state, "cancellation asked"
                )
        snapshot, effect = driver.settle(run_id, now_ms=now_ms)
    if snapshot.cancel_by != actor:
        raise wrong_state(run_id, asked="cancelled")
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
        raise already_active(request.kind.name, request.target, request.lock) from None


def _insert(request: _Request, now_ms: int) -> Run:
    run = Run.objects.create(
        kind=request.kind.name,
        target=request.target,
        params=request.params,
        subject=request.subject,
        actor=request.actor,
        key=request.key,
        mode=request.mode.value,
        # A dry run is in nobody's way.
        lock="" if request.mode is Mode.DRY else request.lock,
        content_hash=request.content_hash,
        policy=request.policy,
        undoes_failures=request.kind.undoes_failures,
        state=RunState.QUEUED.value,
        created_at=from_ms(now_ms),
        deadline=from_ms(now_ms + request.kind.deadline_s * 1000),
        traceparent=request.traceparent,
        ring_at=from_ms(now_ms + int(limits.RING_FIRST_S * 1000)),
    )
    Step.objects.bulk_create(
        step_row(run.pk, position, step) for position, step in enumerate(request.steps)
    )
    journal.note(run.pk, now_ms, request.actor, None, RunState.QUEUED, "")
    return run


def _reopen(snapshot: RunSnapshot, position: int, *, run: Run, actor: str) -> bool:
    step = snapshot.steps[position]
    # One attempt, and one in reserve where repeating is harmless.
    more = 1 if step.kind is StepKind.GUARDED else 2
    now_ms = clock.now_ms()
    won = journal.advance(
        snapshot,
        state=RunState.QUEUED,
        cancel_by="",
        cancel_reason="",
        reason="",
        finished_at=None,
        # As long as it had at first.
        deadline=from_ms(now_ms) + (run.deadline - run.created_at),
        ring_at=from_ms(now_ms + int(limits.RING_FIRST_S * 1000)),
        ring_count=0,
    )
    if not won:
        return False
    steps = Step.objects.filter(run_id=snapshot.run_id)
    steps.filter(position=position).update(
        state=RunState.QUEUED.value,
        attempt_limit=min(step.attempt_count + more, limits.ATTEMPTS_MAX),
        reason="",
        deadline=None,
    )
    # The world went on since somebody approved, so it is asked again for what is left.
    asked = steps.filter(kind=StepKind.APPROVAL.value, position__lte=position).last()
    if asked is not None:
        steps.filter(pk=asked.pk).update(state=RunState.QUEUED.value, expires_at=None)
        steps.filter(position__gt=asked.position).update(approved_call={})
    journal.note(snapshot.run_id, now_ms, actor, snapshot.state, RunState.QUEUED, "retry")
    return True


def _same_request(run: Run, request: _Request) -> Run:
    asked = (request.kind.name, request.target, request.params, request.mode.value)
    if (run.kind, run.target, run.params, run.mode) != asked:
        raise KeyReused(run.pk, request.key)
    return run


def _request(
    kind: RunKind,
    target: str,
    params: Mapping[str, object],
    *,
    actor: str,
    key: str | None,
    subject: str,
    mode: Mode = Mode.REAL,
    content_hash: str = "",
    policy: str = "",
) -> _Request:
    check_text("target", target, limits.TARGET_CHARS_MAX, required=True)
    check_text("actor", actor, limits.ACTOR_CHARS_MAX, required=True)
    check_text("subject", subject, limits.SUBJECT_CHARS_MAX, required=False)
    if key is not None:
        check_text("key", key, limits.KEY_CHARS_MAX, required=True)
    checked = kind.check(target, params)
    return _Request(
        kind=kind,
        target=target,
        params=checked,
        subject=subject,
        actor=actor,
        key=key or uuid.uuid4().hex,
        traceparent=traceparent(),
        steps=kind.steps(checked),
        mode=mode,
        content_hash=content_hash,
        policy=policy,
    )


def _split_target(runbook: Runbook, params: Mapping[str, object]) -> tuple[str, JsonObject]:
    rest = dict(params)
    target = rest.pop("target", None)
    by_kind = rest.pop(runbook.target, None) if runbook.target != "fleet" else None
    if by_kind is not None and runbook.target == "tenant":
        by_kind = f"tenant:{str(by_kind).removeprefix('tenant:')}"
    found = target or by_kind or ("fleet" if runbook.target == "fleet" else "")
    if not isinstance(found, str):
        raise BadParameter("target", found, "a text")
    return found, rest
