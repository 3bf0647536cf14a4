"""What must hold before anything is broken, each condition by name with what was seen.

Conditions that only upper layers know (open incidents, budgets) come from functions named in the
Django setting DRILL_GUARDS: each takes the Unix time in ms and returns a GuardResult. The same
guards are asked twice: for the button, and again by the worker just before the start.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.utils.module_loading import import_string

from runbooks import clock, heartbeat
from runbooks.drills.errors import GuardResult
from runbooks.drills.fleet_guards import fleet_guards
from runbooks.drills.models import Drill
from runbooks.drills.scenarios import Scenario
from storage_core.client import FleetClient

Guard = Callable[[int], GuardResult]


def check(scenario: Scenario, *, run_id: int | None = None) -> tuple[GuardResult, ...]:
    """All guards in the order in which people think of them; nothing is left out after a no.

    `run_id` is the drill that asks for itself, which is no other drill.
    """
    now_ms = clock.now_ms()
    added: list[Guard] = [import_string(path) for path in getattr(settings, "DRILL_GUARDS", ())]
    statuses = FleetClient(settings.HOLDFAST).statuses()
    return (
        _allowed(),
        _no_other_drill(run_id),
        *fleet_guards(statuses, scenario),
        _worker_listens(now_ms),
        *(guard(now_ms) for guard in added),
    )


def _allowed() -> GuardResult:
    is_allowed = settings.HOLDFAST.drills
    text = "drills are allowed here" if is_allowed else "HOLDFAST_DRILLS=0 forbids drills here"
    return GuardResult(name="drills-allowed", passed=is_allowed, text=text)


def _no_other_drill(run_id: int | None) -> GuardResult:
    other = Drill.objects.filter(verdict="").exclude(pk=run_id).first()
    text = (
        "no other drill" if other is None else f"drill {other.pk} ({other.scenario}) is under way"
    )
    return GuardResult(name="no-other-drill", passed=other is None, text=text)


def _worker_listens(now_ms: int) -> GuardResult:
    beat = heartbeat.read(settings.HOLDFAST.run, heartbeat.WORKER, now_ms=now_ms)
    text = "a worker listens" if beat.is_alive else "no worker answers"
    return GuardResult(name="worker-listens", passed=beat.is_alive, text=text)
