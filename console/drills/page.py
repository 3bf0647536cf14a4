"""What the pages of drills show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from console.drills import words
from console.drills.strip import strip_of
from console.figures import quantity
from console.verdict import State, Verdict
from runbooks.drills import guards, history, queries
from runbooks.drills.folder import DrillFolder
from runbooks.drills.queries import DrillRow
from runbooks.drills.scenarios import SCENARIOS

LISTED = 50
EARLIER_WIDTH, EARLIER_HEIGHT = 588, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One of the three verdicts above everything."""

    state: State
    title: str
    figure: str
    under: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """An earlier run: its recovery time; `x` and `y` in the plot's own units."""

    id: int
    x: float
    y: float
    passed: bool
    here: bool
    title: str


def list_context() -> dict[str, Any]:
    drills = queries.recent(LISTED)
    active = next((drill for drill in drills if drill.is_active), None)
    checks = guards.check(SCENARIOS["failover-leader"])
    failed = [guard for guard in checks if not guard.passed]
    if active is not None:
        verdict = Verdict(state="warning", sentence=words.sentence(active))
    elif failed:
        text = "; ".join(guard.text for guard in failed)
        verdict = Verdict(state="warning", sentence=f"No drill now: {text}")
    elif not drills:
        verdict = Verdict(state="idle", sentence="Nothing proven yet: run a drill")
    else:
        state, _ = words.VERDICTS[drills[0].verdict]
        verdict = Verdict(state=state, sentence=f"Last drill: {words.sentence(drills[0])}")
    return {
        "verdict": verdict,
        "drills": [(drill, words.VERDICTS[drill.verdict], core_of(drill)) for drill in drills],
        "scenarios": tuple(SCENARIOS.values()),
        "guards": checks,
        "can_start": not failed and active is None,
        "live_page": "badge",
    }


def report_context(drill: DrillRow) -> dict[str, Any]:
    folder = DrillFolder(settings.HOLDFAST.home, drill.id)
    events = folder.read_events()
    try:
        lines = folder.history.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    operations = history.parse(lines)
    state, word = words.VERDICTS[drill.verdict]
    core = words.part(words.part(drill.numbers, "rto"), "core")
    consistency = words.part(drill.numbers, "consistency")
    asked = folder.stop_asked()
    context = (
        f"{drill.scenario} · seed {drill.seed} · by {drill.actor}"
        f" · {drill.created_at:%Y-%m-%d %H:%M:%S} UTC · {len(operations):,} operations"
    )
    if drill.is_active and asked is not None:
        context = f"Stopping: {asked.get('reason', '')} · {context}"
    return {
        "drill": drill,
        "verdict": Verdict(state=state, sentence=words.sentence(drill), context=context),
        "word": word,
        "cells": cells(drill),
        "strip": strip_of(
            operations, events, gap_ms=core.get("ms") if core.get("was_out") else None
        )
        if operations
        else None,
        "counterexample": consistency.get("counterexample") or [],
        "culprit": consistency.get("culprit"),
        "consistency": consistency,
        "response": response_rows(drill, events),
        "triage": triage_text(drill),
        "earlier": earlier_dots(drill),
        "paths": words.part(drill.numbers, "rto").get("paths") or [],
        "events": events,
        "live_page": "badge",
    }


def cells(drill: DrillRow) -> Sequence[Cell]:
    """RTO, RPO, consistency: shape and word, figure, what it is of."""
    rto, rpo = words.part(drill.numbers, "rto"), words.part(drill.numbers, "rpo")
    consistency = words.part(drill.numbers, "consistency")
    if not rto:
        dash: State = "idle"
        return [
            Cell(state=dash, title=name, figure="\u2013", under="not measured yet")
            for name in ("RTO", "RPO", "Consistency")
        ]
    core, limit_ms = rto["core"], rto["target_ms"]
    fast = core["ms"] is not None and core["ms"] <= limit_ms
    told = {"linearizable": ("ok", "Linearizable"), "violated": ("firing", "Violated")}
    shape, figure = told.get(consistency["verdict"], ("unknown", "Undecided"))
    return [
        Cell(
            state="ok" if fast else "warning",
            title=f"RTO, target {quantity(limit_ms, 'ms')}",
            figure=words.recovery(core),
            under=f"reads {words.recovery(rto['reads'])} · door {words.recovery(rto['door'])}"
            f" · SDK {words.recovery(rto['sdk'])}",
        ),
        Cell(
            state="firing" if rpo["missing"] else "ok",
            title="RPO",
            figure=f"{rpo['missing']:,}",
            under=f"of {rpo['acknowledged']:,} acknowledged, {rpo['read_back']:,} read back",
        ),
        Cell(
            state=shape,  # type: ignore[arg-type]
            title="Consistency",
            figure=figure,
            under=f"{consistency['operations']:,} operations, {consistency['unknown']} with"
            f" unknown outcome, checked in {consistency['seconds']:g} s",
        ),
    ]


def response_rows(
    drill: DrillRow, events: Sequence[Mapping[str, object]]
) -> Sequence[tuple[str, str]]:
    """From the fault: when it was detected, named, mitigated, healed."""
    fault_ms = None if drill.faulted_at is None else drill.faulted_at.timestamp() * 1000
    rows: list[tuple[str, str]] = []
    for name, word in (
        ("detected_ms", "Detected"),
        ("named_ms", "Named"),
        ("mitigated_ms", "Mitigated"),
    ):
        at_ms = drill.response.get(name)
        if fault_ms is not None and isinstance(at_ms, int | float):
            rows.append((word, f"{(at_ms - fault_ms) / 1000:.1f} s"))
        else:
            rows.append((word, "not seen"))
    if drill.healed_at is not None and fault_ms is not None:
        rows.append(("Healed", f"{drill.healed_at.timestamp() - fault_ms / 1000:.1f} s"))
    return rows


def triage_text(drill: DrillRow) -> tuple[State, str]:
    if drill.triage == "hit":
        return "ok", f"Hit: {drill.triage_said}"
    if drill.triage == "miss":
        return "warning", f"Miss: said {drill.triage_said}"
    if drill.was_judged is False:
        return "idle", "Not judged: no objective moved"
    return "unknown", "Not judged yet"


def core_of(drill: DrillRow) -> str:
    return words.recovery(words.part(words.part(drill.numbers, "rto"), "core"))


def earlier_dots(drill: DrillRow) -> Sequence[Dot]:
    """Recovery times of the last runs of this scenario, on the scale of the slowest."""
    rows = queries.earlier(drill)
    told = [(row, words.part(words.part(row.numbers, "rto"), "core").get("ms")) for row in rows]
    known = [ms for _, ms in told if isinstance(ms, int | float)]
    top = max([*known, 1.0])
    step = EARLIER_WIDTH / max(1, len(told))
    return [
        Dot(
            id=row.id,
            x=round(step * (place + 0.5), 1),
            y=round(EARLIER_HEIGHT - 12 - (ms / top) * (EARLIER_HEIGHT - 24), 1)
            if isinstance(ms, int | float)
            else 12.0,
            passed=row.verdict == "passed",
            here=row.id == drill.id,
            title=f"drill {row.id}: {words.VERDICTS[row.verdict][1]}, {core_of(row)}",
        )
        for place, (row, ms) in enumerate(told)
    ]
