"""What other applications are told about runs, after it is on disk.

The engine knows no incident, no notice and no page. Whoever must hear that a run changed its state
is named in the setting RUN_LISTENERS: dotted paths of functions that take one RunEvent. They are
called in the process that wrote the change, after the commit, one after the other; what one of
them does wrong is logged and keeps neither the others nor the run back. So an event may be lost
with its process: who needs certainty reads the journal, which is the truth.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """A run changed its state. `from_state` is empty for a new run.

    `waiting_for` is the least role that must act now ("responder", "lead"), or empty while nobody
    must. `requested_by` started the run; `mode` is "real" or "dry".
    """

    run_id: int
    kind: str
    target: str
    subject: str
    from_state: str
    to_state: str
    actor: str
    at_ms: int
    waiting_for: str
    requested_by: str
    mode: str
    reason: str


def announce(event: RunEvent) -> None:
    """Tell every listener once the surrounding transaction is on disk."""
    transaction.on_commit(partial(_tell, event))


def _tell(event: RunEvent) -> None:
    for path in getattr(settings, "RUN_LISTENERS", ()):
        try:
            listener: Callable[[RunEvent], None] = import_string(path)
            listener(event)
        except Exception:  # The edge: what listeners do wrong must not end the run.
            logger.exception("a listener of runs failed: %s", path, extra={"run_id": event.run_id})
