"""The bell: tells a worker that a run may have something to do. It may get lost, it never decides.

Ringing goes to a broker that can be down, restarted or emptied. So `ring` never raises for a
broker's sake and never waits longer than twice RING_TIMEOUT_S: a lost ring is logged, and the
watcher rings again from the table.
"""

from __future__ import annotations

import logging
from functools import partial

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from runbooks import limits

logger = logging.getLogger(__name__)

ADVANCE_RUN = "runbooks.advance_run"

RUNS_QUEUE = "runs"
TRIAGE_QUEUE = "triage"
# What must run where its target runs. One host means one such queue; with more, each host's worker
# takes the queue of its own name.
HOST_QUEUE = "host.local"


def ring(run_id: int, queue: str) -> bool:
    """Ring now. False: the broker did not take it."""
    try:
        with current_app.connection_for_write(transport_options=_once()) as connection:
            current_app.send_task(
                ADVANCE_RUN,
                args=(run_id,),
                queue=queue,
                connection=connection,
                retry=False,
                ignore_result=True,
            )
    except (OperationalError, OSError) as error:
        logger.warning(
            "the bell was not heard; the watcher will ring again: %s", error,
            extra={"run_id": run_id},
        )  # fmt: skip
        return False
    return True


def ring_on_commit(run_id: int, queue: str) -> None:
    """Ring when the surrounding transaction is on disk; a worker never sees a run too early."""
    transaction.on_commit(partial(ring, run_id, queue))


def _once() -> dict[str, object]:
    """One try. By default the client library keeps a button waiting for 6 s (measured)."""
    return {
        **current_app.conf.broker_transport_options,
        "max_retries": 1,
        "interval_start": 0,
        "interval_max": 0,
        "socket_connect_timeout": limits.RING_TIMEOUT_S,
        "socket_timeout": limits.RING_TIMEOUT_S,
    }
