"""The Celery side: the task carries an incident's number, and looks; the rows are the truth."""

from __future__ import annotations

from celery import shared_task

from console.triage import limits, look
from runbooks import clock

TRIAGE_INCIDENT = "console.triage.tasks.triage_incident"


@shared_task(
    name=TRIAGE_INCIDENT,
    acks_late=True,
    ignore_result=True,
    soft_time_limit=limits.TASK_SOFT_LIMIT_S,
    time_limit=limits.TASK_HARD_LIMIT_S,
)
def triage_incident(incident_id: int) -> None:
    """Look at this incident once. Twice or late costs one look and writes nothing new."""
    look.at_incident(incident_id, now_ms=clock.now_ms())
