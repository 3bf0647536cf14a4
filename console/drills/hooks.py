"""What drills and the rest of the console tell each other.

Two guards: no drill beside a real incident, and none that spends a budget that is nearly gone; a
real page that opens meanwhile ends the drill. And one more duty: when the console noticed a
drill's fault and named a cause, for the report of a drill that is under way. Whether that was right
is marked later, by `console.triage.judge` and by nobody else.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import close_old_connections

from console.incidents.models import Incident
from console.incidents.queries import OPEN
from console.slos.queries import budgets
from runbooks.clock import from_ms, to_ms
from runbooks.drills import actions, journal, limits, mark
from runbooks.drills.errors import GuardResult
from runbooks.drills.models import Drill
from runbooks.watch import Duty

LOOK_BACK = timedelta(minutes=15)


def no_real_incident(_now_ms: int) -> GuardResult:
    """No page is open that a drill did not make."""
    real = Incident.objects.filter(state__in=OPEN, severity="page", drill_run=None).first()
    text = "no real incident is open" if real is None else f"INC-{real.pk} is open: {real.headline}"
    return GuardResult(name="no-real-incident", passed=real is None, text=text)


def budget_left(_now_ms: int) -> GuardResult:
    """Every budget that was measured for long enough can bear a drill."""
    counted = [budget for budget in budgets() if budget.counts]
    if not counted:
        return GuardResult(name="budget-left", passed=True, text="measured too short to count yet")
    worst = min(counted, key=lambda budget: budget.left_percent)
    passed = worst.left_percent >= limits.BUDGET_LEFT_PERCENT_MIN
    text = f"{worst.name}: {worst.left_percent:.0f} % left"
    return GuardResult(name="budget-left", passed=passed, text=text)


def note_responses(now_ms: int) -> str:
    """For drills of late that nobody judged yet: what the console made of them so far."""
    drills = Drill.objects.filter(created_at__gte=from_ms(now_ms) - LOOK_BACK, was_judged=None)
    noted = 0
    for drill in drills:
        incident = Incident.objects.filter(drill_run=drill.pk).order_by("pk").first()
        if incident is None:
            continue
        response = {
            "incident_id": incident.pk,
            "detected_ms": _ms(incident.opened_at),
            "named_ms": _ms(incident.named_at),
            "mitigated_ms": _ms(incident.mitigated_at or incident.fixed_at),
        }
        if response != drill.response:
            journal.note_response(drill.pk, response, was_judged=None)
            noted += 1
    return f"{noted} responses noted" if noted else ""


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def _look(now_ms: int) -> str:
    # A connection that broke, or whose file was replaced, is dropped here and opened afresh.
    close_old_connections()
    return note_responses(now_ms)


def abort_for_real(now_ms: int) -> str:
    """A page that no drill made, opened since a drill began, ends the drill: people need the fleet
    as it is, and whatever the drill has locked.
    """
    drill = mark.active(settings.HOLDFAST.run, now_ms=now_ms)
    if drill is None:
        return ""
    real = Incident.objects.filter(
        state__in=OPEN, severity="page", drill_run=None, opened_at__gte=from_ms(drill.since_ms)
    ).first()
    if real is None:
        return ""
    count = actions.abort_all(f"INC-{real.pk} is real: {real.headline}"[:200], "watcher")
    return f"{count} drills ended for INC-{real.pk}"


def _guard(now_ms: int) -> str:
    close_old_connections()
    return abort_for_real(now_ms)


ABORTS = Duty(name="drills beside a page", every_s=1.0, work=_guard)
RESPONSES = Duty(name="drill responses", every_s=5.0, work=_look)
