"""The watcher's part in drills: end what nobody ends any more.

Two duties. *pauses* needs no table: a process whose pause is over is continued even where the
supervisor that should have done it is dead. *drills* settles rows: a cancelled run stops its drill,
and a drill whose run ended without a verdict gets the one that its folder holds, or "aborted".
"""

from __future__ import annotations

from django.conf import settings
from django.db import close_old_connections

from runbooks.drills import healing, journal, mark
from runbooks.drills.folder import DrillFolder
from runbooks.drills.kind import conducting
from runbooks.drills.models import Drill, DrillVerdict
from runbooks.engine.states import ACTIVE_STATES
from runbooks.watch import Duty
from storage_core.fleet import pauses


def resume_paused(now_ms: int) -> str:
    """Continue what should have been continued by now."""
    resumed = pauses.resume_expired(settings.HOLDFAST.run, now_ms=now_ms)
    return f"continued {', '.join(resumed)}" if resumed else ""


def settle_drills(now_ms: int) -> str:
    """One look at the drills that have no verdict yet."""
    close_old_connections()
    settled = 0
    for drill in Drill.objects.filter(verdict="").select_related("run"):
        folder = DrillFolder(settings.HOLDFAST.home, drill.pk)
        if drill.run.cancel_by:
            folder.ask_stop(actor=drill.run.cancel_by, reason=f"stopped by {drill.run.cancel_by}")
        if drill.run.state not in ACTIVE_STATES and conducting(folder) is None:
            settle(drill, folder)
            settled += 1
    return f"{settled} drills settled" if settled else ""


def settle(drill: Drill, folder: DrillFolder) -> None:
    """Give a drill whose process is gone its verdict, and take back what it left."""
    reason = drill.run.reason or "its run ended before it began"
    result = folder.result()
    if result is not None:
        try:
            journal.conclude(drill.pk, result)
            return
        except ValueError as error:
            reason = f"its result can't be used: {error}"
    if folder.has_begun():
        healing.take_back(settings.HOLDFAST)
        mark.clear(settings.HOLDFAST.run, drill.pk)
    journal.end(drill.pk, DrillVerdict.ABORTED, reason)


PAUSES = Duty(name="pauses", every_s=1.0, work=resume_paused, apart=True)
DRILLS = Duty(name="drills", every_s=1.0, work=settle_drills)
