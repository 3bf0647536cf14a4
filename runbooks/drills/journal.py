"""Every write to the table of drills; each settles once, by the empty verdict that it replaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from runbooks import clock
from runbooks.clock import from_ms
from runbooks.drills import limits
from runbooks.drills.errors import GuardResult
from runbooks.drills.models import Drill, DrillVerdict
from runbooks.models import Run


def create(run: Run, *, guards: Sequence[GuardResult] = ()) -> Drill:
    """The drill of this run; the one that is there if the request came twice."""
    drill, _ = Drill.objects.get_or_create(
        run=run,
        defaults={
            "scenario": run.params["scenario"],
            "seed": run.params["seed"],
            "actor": run.actor,
            "created_at": run.created_at,
            "guards": [asdict(guard) for guard in guards],
        },
    )
    return drill


def note_guards(run_id: int, guards: Sequence[GuardResult]) -> None:
    """The guards as they stood just before the start."""
    Drill.objects.filter(pk=run_id, verdict="").update(guards=[asdict(g) for g in guards])


def end(run_id: int, verdict: DrillVerdict, reason: str) -> bool:
    """End a drill that proved nothing. False: it has a verdict already."""
    changed = Drill.objects.filter(pk=run_id, verdict="").update(
        verdict=verdict.value,
        reason=reason[: limits.REASON_CHARS_MAX],
        finished_at=from_ms(clock.now_ms()),
    )
    return changed == 1


def conclude(run_id: int, result: Mapping[str, object]) -> bool:
    """Write down what the conducting process found. False: there is a verdict already. Raises
    ValueError for a verdict that is none.
    """
    truth = result.get("truth")
    entity, kind = truth if isinstance(truth, list) and len(truth) == 2 else ("", "")
    finished_ms = result.get("finished_ms")
    changed = Drill.objects.filter(pk=run_id, verdict="").update(
        verdict=DrillVerdict(str(result.get("verdict"))).value,
        reason=str(result.get("reason", ""))[: limits.REASON_CHARS_MAX],
        faulted_at=_moment(result.get("faulted_ms")),
        healed_at=_moment(result.get("healed_ms")),
        finished_at=from_ms(finished_ms if isinstance(finished_ms, int) else clock.now_ms()),
        truth_entity=entity,
        truth_kind=kind,
        numbers=result.get("numbers", {}),
    )
    return changed == 1


def note_response(run_id: int, response: Mapping[str, object], *, was_judged: bool | None) -> None:
    """When the console noticed, named and saw the end of it, in Unix ms. `was_judged`: an objective
    moved; None while that may still come.
    """
    Drill.objects.filter(pk=run_id).update(response=dict(response), was_judged=was_judged)


def note_triage(run_id: int, *, is_hit: bool, said: str) -> bool:
    """What the diagnosis said of it. False: it was noted before."""
    changed = Drill.objects.filter(pk=run_id, triage="").update(
        triage="hit" if is_hit else "miss", triage_said=said[:200], was_judged=True
    )
    return changed == 1


def _moment(time_ms: object) -> object:
    return from_ms(time_ms) if isinstance(time_ms, int) else None
