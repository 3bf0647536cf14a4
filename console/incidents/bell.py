"""Tells the triage worker that an incident is new or worse. A lost ring costs a later look only."""

from __future__ import annotations

import logging

from celery import current_app
from kombu.exceptions import OperationalError

from runbooks import limits
from runbooks.bell import TRIAGE_QUEUE

logger = logging.getLogger(__name__)

TRIAGE_INCIDENT = "console.triage.tasks.triage_incident"


def ring(incident_id: int) -> bool:
    """Ask triage to look. False: the broker did not take it; never waits for long."""
    options = {
        **current_app.conf.broker_transport_options,
        "max_retries": 1,
        "interval_start": 0,
        "interval_max": 0,
        "socket_connect_timeout": limits.RING_TIMEOUT_S,
        "socket_timeout": limits.RING_TIMEOUT_S,
    }
    try:
        with current_app.connection_for_write(transport_options=options) as connection:
            current_app.send_task(
                TRIAGE_INCIDENT,
                args=(incident_id,),
                queue=TRIAGE_QUEUE,
                connection=connection,
                retry=False,
                ignore_result=True,
            )
    except (OperationalError, OSError) as error:
        logger.warning("triage was not told of INC-%d: %s", incident_id, error)
        return False
    return True
