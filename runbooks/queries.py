"""What pages and the API may ask about runs: frozen values, in a fixed number of queries.

No page gets a model: what may be done to a run is decided here (`can_retry`, `can_cancel`), beside
the states, and a template only shows it. Heartbeats come from files under the home folder, so that
"the worker is gone" can be told while the database or the broker is gone too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db.models import Prefetch, QuerySet

from runbooks import heartbeat, library, limits
from runbooks.engine.plan import JsonObject, StepKind
from runbooks.engine.states import ACTIVE_STATES, RETRYABLE_STATES, Mode, RunState
from runbooks.errors import NoSuchRun
from runbooks.kinds import KINDS
from runbooks.models import Run, Step, Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One line of a list. `reason` is empty for a run that goes well; times are aware UTC."""

    id: int
    kind: str
    title: str
    target: str
    params: JsonObject
    subject: str
    actor: str
    state: str
    reason: str
    outcome: JsonObject
    trace_id: str
    cancel_by: str
    mode: str
    content_hash: str
    plan_hash: str
    policy: str
    ending: str
    undo_state: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline: datetime

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_STATES

    @property
    def can_cancel(self) -> bool:
        return self.is_active and not self.cancel_by

    @property
    def can_retry(self) -> bool:
        return self.state in RETRYABLE_STATES and not self.ending

    @property
    def is_dry(self) -> bool:
        return self.mode == Mode.DRY.value

    @property
    def took_s(self) -> float | None:
        """From first claim to end; None while it is not over or never began."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """`lease_until` matters while the state is "running"."""

    number: int
    purpose: str
    state: str
    worker: str
    reason: str
    sent: JsonObject
    started_at: datetime
    finished_at: datetime | None
    lease_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """`spec` is what a runbook says of the step, `call` what was approved to be sent; both are
    empty for a built-in kind.
    """

    position: int
    name: str
    title: str
    kind: str
    state: str
    reason: str
    outcome: JsonObject
    spec: JsonObject
    call: JsonObject
    is_undo: bool
    attempt_limit: int
    timeout_s: int
    deadline: datetime | None
    expires_at: datetime | None
    attempts: tuple[AttemptRow, ...]

    @property
    def changes(self) -> bool:
        return self.kind in (StepKind.IDEMPOTENT, StepKind.GUARDED)

    @property
    def took_s(self) -> float | None:
        """From the first attempt's start to the last one's end."""
        if not self.attempts or self.attempts[-1].finished_at is None:
            return None
        return (self.attempts[-1].finished_at - self.attempts[0].started_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionRow:
    """`from_state` is empty for the first."""

    at: datetime
    actor: str
    from_state: str
    to_state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    run: RunRow
    steps: tuple[StepRow, ...]
    transitions: tuple[TransitionRow, ...]


def recent_runs(
    limit: int = 50, *, kind: str = "", target: str = "", subject: str = ""
) -> list[RunRow]:
    """The newest runs first; an empty filter means all. One query."""
    runs = Run.objects.all()
    if kind:
        runs = runs.filter(kind=kind)
    if target:
        runs = runs.filter(target=target)
    if subject:
        runs = runs.filter(subject=subject)
    return _rows(runs, limit)


def shown_runs(show: str, limit: int) -> list[RunRow]:
    """The newest runs of one filter of the list. Dry runs are in none but their own. One query."""
    real = Run.objects.filter(mode=Mode.REAL.value)
    rows = {
        "active": real.filter(state__in=[s.value for s in ACTIVE_STATES]),
        "waiting": real.filter(state__in=[RunState.WAITING.value, RunState.UNKNOWN.value]),
        "runbooks": real.exclude(content_hash=""),
        "profiles": real.filter(kind="capture-profile"),
        "drills": real.filter(kind="drill"),
        "dry": Run.objects.filter(mode=Mode.DRY.value),
    }.get(show, real)
    return _rows(rows, limit)


def active_runs(limit: int = 50) -> list[RunRow]:
    """Runs that are queued or running, newest first. One query."""
    return _rows(Run.objects.filter(state__in=[s.value for s in ACTIVE_STATES]), limit)


def run_detail(run_id: int) -> RunDetail:
    """All of one run, in four queries. Raises NoSuchRun."""
    steps = Step.objects.defer("payload").prefetch_related("attempts")
    run = (
        Run.objects.filter(pk=run_id)
        .prefetch_related(Prefetch("steps", queryset=steps), "transitions")
        .first()
    )
    if run is None:
        raise NoSuchRun(run_id)
    return RunDetail(
        run=_row(run),
        steps=tuple(_step_row(step) for step in run.steps.all()),
        transitions=tuple(_transition_row(t) for t in run.transitions.all()),
    )


def state_of(run_id: int) -> RunState:
    """Only the state, for who waits for it. Raises NoSuchRun."""
    state = Run.objects.filter(pk=run_id).values_list("state", flat=True).first()
    if state is None:
        raise NoSuchRun(run_id)
    return RunState(state)


def heartbeats(run_folder: Path, *, now_ms: int) -> tuple[heartbeat.Heartbeat, ...]:
    """Worker and watcher of this host; touches no table, so it answers when the database cannot."""
    names = (heartbeat.WORKER, heartbeat.WATCHER)
    return tuple(heartbeat.read(run_folder, name, now_ms=now_ms) for name in names)


def _rows(runs: QuerySet[Run], limit: int) -> list[RunRow]:
    count = max(1, min(limit, limits.LISTED_RUNS_MAX))
    return [_row(run) for run in runs.order_by("-id")[:count]]


def title_of(run: Run) -> str:
    """How a run's kind or runbook is called on pages; its name where this release has neither."""
    built_in = KINDS.get(run.kind)
    if built_in is not None:
        return f"{built_in.title} {run.params.get(built_in.told_by, '')}".strip()
    return next((book.title for book in library.all() if book.name == run.kind), run.kind)


def _row(run: Run) -> RunRow:
    parts = run.traceparent.split("-")
    return RunRow(
        id=run.pk,
        kind=run.kind,
        title=title_of(run),
        target=run.target,
        params=run.params,
        subject=run.subject,
        actor=run.actor,
        state=run.state,
        reason=run.reason,
        outcome=run.outcome,
        trace_id=parts[1] if len(parts) == 4 else "",
        cancel_by=run.cancel_by,
        mode=run.mode,
        content_hash=run.content_hash,
        plan_hash=run.plan_hash,
        policy=run.policy,
        ending=run.ending,
        undo_state=run.undo_state,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        deadline=run.deadline,
    )


def _step_row(step: Step) -> StepRow:
    return StepRow(
        position=step.position,
        name=step.name,
        title=str(step.spec.get("title") or step.name.capitalize()),
        kind=step.kind,
        state=step.state,
        reason=step.reason,
        outcome=step.outcome,
        spec=step.spec,
        call=step.approved_call,
        is_undo=step.is_undo,
        attempt_limit=step.attempt_limit,
        timeout_s=step.timeout_s,
        deadline=step.deadline,
        expires_at=step.expires_at,
        attempts=tuple(
            AttemptRow(
                number=attempt.number,
                purpose=attempt.purpose,
                state=attempt.state,
                worker=attempt.worker,
                reason=attempt.reason,
                sent=attempt.sent,
                started_at=attempt.started_at,
                finished_at=attempt.finished_at,
                lease_until=attempt.lease_until,
            )
            for attempt in step.attempts.all()
        ),
    )


def _transition_row(transition: Transition) -> TransitionRow:
    return TransitionRow(
        at=transition.at,
        actor=transition.actor,
        from_state=transition.from_state,
        to_state=transition.to_state,
        reason=transition.reason,
    )
