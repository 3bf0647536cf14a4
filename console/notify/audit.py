"""The auditor: proves from the tables that every step of the chain was taken, and pages if not."""

from __future__ import annotations

from django.conf import settings

from console.incidents.lifecycle import Severity, State
from console.incidents.models import Incident
from console.notify import chain
from console.notify.pager import Pager
from runbooks.clock import to_ms

LOOKED_AT_MAX = 50


def look(pager: Pager, now_ms: int) -> int:
    """How many steps were missed. Each is paged and taken now. Two queries."""
    rows = (
        Incident.objects.filter(
            state=State.OPEN.value, severity=Severity.PAGE.value, drill_run=None, firing_count__gt=0
        )
        .exclude(alerts__is_silenced=True)
        .prefetch_related("chain")
        .order_by("-id")[:LOOKED_AT_MAX]
    )
    missed = 0
    for row in rows:
        taken = sorted(step.taken_at for step in row.chain.all())
        late_ms = chain.overdue_ms(
            opened_ms=to_ms(row.opened_at),
            taken_count=len(taken),
            last_taken_ms=to_ms(taken[-1]) if taken else None,
            now_ms=now_ms,
            wait_ms=settings.HOLDFAST.page_wait_s * 1000,
        )
        if late_ms:
            pager.missed(row.key, late_ms, now_ms)
            missed += 1
    return missed
