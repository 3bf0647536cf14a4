"""The Celery side: a task carries a run's id and never decides.

`advance_run` may be delivered twice, late, or never. Twice and late cost one look at the table;
never is the watcher's business, which calls `resume_stalled` to ring again from the table.
"""

from __future__ import annotations

import logging
import os
import socket

from celery import shared_task
from django.db.models import Exists, OuterRef, Q
from opentelemetry import propagate, trace
from opentelemetry.util.types import AnyValue

from runbooks import bell, clock, driver, journal, limits
from runbooks.engine.machine import Perform
from runbooks.engine.states import AttemptState
from runbooks.errors import NoSuchRun
from runbooks.models import Attempt, Run

logger = logging.getLogger(__name__)
tracer = trace.get_tracer("runbooks")


@shared_task(
    name=bell.ADVANCE_RUN,
    acks_late=True,
    ignore_result=True,
    soft_time_limit=limits.TASK_SOFT_LIMIT_S,
    time_limit=limits.TASK_HARD_LIMIT_S,
)
def advance_run(run_id: int) -> None:
    """Do what this run can do now, then ring for the rest."""
    row = Run.objects.filter(pk=run_id).only("kind", "target", "traceparent").first()
    if row is None:
        logger.warning("the bell rang for a run that is not there", extra={"run_id": run_id})
        return
    # The bell may come from a button or from the watcher; the trace is the button's in both cases.
    context = propagate.extract({"traceparent": row.traceparent})
    attributes: dict[str, AnyValue] = {"holdfast.run_id": run_id, "holdfast.target": row.target}
    with tracer.start_as_current_span(
        f"advance {row.kind}", context=context, attributes=attributes
    ):
        if driver.advance(run_id, worker=worker_name()):
            bell.ring(run_id, driver.queue_of(row.kind))


def resume_stalled(*, now_ms: int) -> int:
    """Settle what needs no worker and ring for the rest. Returns how many runs were touched.

    Called by the watcher, not by Celery: it must work while the broker doesn't. Raises what the
    first run raised that can't be settled, after all others were looked after.
    """
    stalled = _stalled(now_ms)
    troubles: list[Exception] = []
    for run_id, kind, ring_count in stalled:
        try:
            _, effect = driver.settle(run_id, now_ms=now_ms)
        except NoSuchRun:
            continue
        except Exception as error:  # The edge: one broken run must not hold up all others.
            troubles.append(error)
            continue
        if not isinstance(effect, Perform):
            continue
        if journal.note_rung(run_id, ring_count=ring_count, now_ms=now_ms):
            bell.ring(run_id, driver.queue_of(kind))
    if troubles:
        raise troubles[0]
    return len(stalled)


def worker_name() -> str:
    """Who claims: host and process, for people who look for its log."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _stalled(now_ms: int) -> list[tuple[int, str, int]]:
    """Unfinished runs that nobody works on, and those whose deadline has passed.

    A run that waits for a person is due when its approval expires: `ring_at` says so.
    """
    now = clock.from_ms(now_ms)
    held = Attempt.objects.filter(
        step__run=OuterRef("pk"), state=AttemptState.RUNNING.value, lease_until__gt=now
    )
    lost = Attempt.objects.filter(
        step__run=OuterRef("pk"), state=AttemptState.RUNNING.value, lease_until__lte=now
    )
    runs = Run.objects.filter(state__in=journal.ACTIVE_VALUES).filter(
        Q(deadline__lte=now) | Exists(lost) | (Q(ring_at__lte=now) & ~Exists(held))
    )
    rows = runs.order_by("ring_at").values_list("pk", "kind", "ring_count")
    return list(rows[: limits.REAPED_PER_ROUND_MAX])
