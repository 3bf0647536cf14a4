"""What people and programs may do to drills: start one, stop one, stop all.

Stopping is a file in the drill's folder, so it works with the database and the worker dead: the
conducting process looks ten times a second, takes the fault back and ends. Whoever may do this is
the caller's to check and to audit.
"""

from __future__ import annotations

import contextlib
import secrets

from django.conf import settings
from django.db import transaction

from runbooks import actions as runs
from runbooks.drills import guards, journal
from runbooks.drills.errors import GuardsFailed, NoSuchDrill, NotRunning
from runbooks.drills.folder import DrillFolder
from runbooks.drills.kind import FLEET, KIND, checked_hold_s, make_folder
from runbooks.drills.models import Drill, DrillVerdict
from runbooks.drills.scenarios import SCENARIOS
from runbooks.engine.states import RunState
from runbooks.errors import BadParameter, KeyReused, RunError

SEED_MAX = 2**31 - 1


def start(
    scenario: str,
    *,
    actor: str,
    seed: int | None = None,
    hold_s: float | None = None,
    key: str | None = None,
) -> Drill:
    """Start a drill, or return the one that was started with this key before. The fault stands for
    `hold_s` seconds (the scenario's own by default), until a cure has removed it, or until the
    drill is stopped.

    Raises BadParameter, GuardsFailed, AlreadyActive and what `runbooks.actions.start` raises.
    """
    chosen = SCENARIOS.get(scenario)
    if chosen is None:
        raise BadParameter("scenario", scenario, f"one of {', '.join(SCENARIOS)}")
    if seed is not None and not 0 <= seed <= SEED_MAX:
        raise BadParameter("seed", seed, f"a whole number from 0 to {SEED_MAX}")
    stands_s = checked_hold_s(hold_s, chosen)
    drills = Drill.objects.select_related("run")
    earlier = drills.filter(run__key=key).first() if key is not None else None
    if earlier is not None:
        held_s = earlier.run.params.get("hold_s", stands_s)
        asked = (scenario, earlier.seed if seed is None else seed, stands_s)
        if (earlier.scenario, earlier.seed, held_s) != asked:
            raise KeyReused(earlier.pk, str(key))
        return earlier
    found = guards.check(chosen)
    if not all(guard.passed for guard in found):
        raise GuardsFailed(found)
    params = {
        "scenario": scenario,
        "seed": secrets.randbelow(SEED_MAX) if seed is None else seed,
        "hold_s": stands_s,
    }
    with transaction.atomic():
        run = runs.start(KIND, FLEET, params, actor=actor, key=key)
        drill = journal.create(run, guards=found)
    make_folder(run.pk, run.key, params)
    return drill


def stop(drill_id: int, *, actor: str, reason: str = "") -> None:
    """End a drill: at once where it has not begun, else as soon as its fault is taken back.

    Raises NoSuchDrill, NotRunning.
    """
    drill = Drill.objects.filter(pk=drill_id).first()
    if drill is None:
        raise NoSuchDrill(drill_id)
    if drill.verdict:
        raise NotRunning(f"drill {drill_id} is over: {drill.verdict}")
    ask_stop(drill_id, actor=actor, reason=reason)
    try:
        run = runs.cancel(drill_id, actor)
    except RunError:
        return  # Over meanwhile, or somebody else cancelled it; the file speaks for us.
    if run.state == RunState.CANCELLED and not _folder(drill_id).has_begun():
        journal.end(drill_id, DrillVerdict.ABORTED, reason or f"stopped by {actor}")


def ask_stop(drill_id: int, *, actor: str, reason: str) -> None:
    """The part of stopping that needs no database."""
    _folder(drill_id).ask_stop(actor=actor, reason=reason or f"stopped by {actor}")


def abort_all(reason: str, actor: str) -> int:
    """End every drill, because something real happened; returns how many were under way."""
    active = list(Drill.objects.filter(verdict="").values_list("pk", flat=True))
    for drill_id in active:
        with contextlib.suppress(NotRunning):  # It ended by itself while the others were stopped.
            stop(drill_id, actor=actor, reason=reason)
    return len(active)


def judge(drill_id: int, *, is_hit: bool, said: str) -> bool:
    """Note what the diagnosis said of this drill, once."""
    return journal.note_triage(drill_id, is_hit=is_hit, said=said)


def _folder(drill_id: int) -> DrillFolder:
    return DrillFolder(settings.HOLDFAST.home, drill_id)
