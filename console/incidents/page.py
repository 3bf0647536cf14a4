"""What the pages of incidents show, decided here so that their templates only lay it out."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from console.changes import queries as changes
from console.figures import clock_time, span
from console.incidents import limits, queries
from console.incidents.lifecycle import Severity, State
from console.incidents.models import Incident
from console.incidents.presence import presence
from console.incidents.queries import Filter, IncidentRow
from console.live.badge import badge_of
from console.live.observatory import Picture
from console.now.charts import charts, flush_chart
from console.runs.next_step import NextStep, suggest
from console.triage.queries import Cause, top
from console.verdict import State as Shape
from console.verdict import Verdict, plural
from runbooks import clock
from runbooks.queries import RunRow, recent_runs

CHANGES_BEFORE_MS = 15 * 60_000
RUNS_SHOWN = 10
STRIPS = ("write", "failed")
LOOKS_ONLY = "capture-evidence"
KINDS: Mapping[str, tuple[str, ...]] = {
    "all": (),
    "people": ("person", "note", "page"),
    "machine": ("alert", "finding", "machine", "change"),
    "runs": ("run",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One of the three: a number, or what stands in its place."""

    name: str
    value: str
    note: str = ""
    is_counting: bool = False


def shape_of(row: IncidentRow) -> Shape:
    """Red only while a hand is needed now."""
    if row.state == State.OPEN:
        return "firing" if row.severity == Severity.PAGE else "warning"
    if row.state == State.RESOLVED:
        return "ok" if row.recovered_at or row.fixed_at else "idle"
    return "warning" if row.firing_count else "ok"


def word_of(row: IncidentRow) -> str:
    drill = "drill, " if row.is_drill else ""
    return f"{drill}{row.state}"


def verdict_of(row: IncidentRow, *, here: Sequence[str] = (), reader: str = "") -> Verdict:
    cause = f": {row.cause_headline}" if row.cause_headline else ""
    sentence = f"{row.name} {row.headline}"
    if cause and len(sentence) + len(cause) <= 120:
        sentence += cause
    return Verdict(state=shape_of(row), sentence=sentence, context=_context(row, here, reader))


def _context(row: IncidentRow, here: Sequence[str], reader: str) -> str:
    onset = clock.to_ms(row.onset_at)
    end = row.resolved_at or row.recovered_at or timezone.now()
    lasted = span((end - row.onset_at).total_seconds())
    told = [word_of(row), f"since {clock_time(onset)} UTC ({lasted})"]
    if row.recovered_alone and row.recovered_at:
        at = clock_time(clock.to_ms(row.recovered_at))
        told.append(f"Recovered at {at} UTC without a hand; nobody acknowledged")
    told += impact_words(row)
    for word, who, when in (
        ("acknowledged", row.acknowledged_by, row.acknowledged_at),
        ("mitigated", row.mitigated_by, row.mitigated_at),
        ("resolved", row.resolved_by, row.resolved_at),
    ):
        if who and when and not (row.recovered_alone and word == "resolved"):
            told.append(f"{who} {word} {clock_time(clock.to_ms(when))}")
    others = [name for name in here if name != reader]
    if others:
        verb = "is" if len(others) == 1 else "are"
        told.append(f"{', '.join(others[:3])} {verb} here")
    return " · ".join(told)


def impact_words(row: IncidentRow) -> list[str]:
    """Each part is left out while nobody could measure it."""
    told = []
    if row.requests_failed is not None:
        told.append(f"{plural(row.requests_failed, 'request')} failed")
    if row.requests_late:
        told.append(f"{row.requests_late:,} late")
    if row.tenants:
        told.append(plural(len(row.tenants), "tenant"))
    return told


def figures_of(row: IncidentRow, now: datetime) -> tuple[Figure, ...]:
    detected = Figure(name="Detected", value=seconds(row.detected_s), note="after the onset")
    if row.named_s is not None:
        named = Figure(name="Named", value=seconds(row.named_s), note="after the alert")
    elif row.is_open:
        waited = (now - row.opened_at).total_seconds()
        named = Figure(name="Named", value=seconds(waited), note="and looking", is_counting=True)
    else:
        named = Figure(name="Named", value="never", note="cause unknown")
    if row.fixed_s is not None:
        note = "every objective met" if row.fixed_at else "no alert left"
        fixed = Figure(name="Fixed", value=seconds(row.fixed_s), note=note)
    elif row.is_open:
        lasts = (now - row.onset_at).total_seconds()
        fixed = Figure(name="Fixed", value=seconds(lasts), note="and counting", is_counting=True)
    else:
        fixed = Figure(name="Fixed", value="by hand", note=f"resolved by {row.resolved_by}")
    return detected, named, fixed


def seconds(value: float) -> str:
    return f"{value:.1f}\u202fs" if value < 100 else span(value)


def risk_of(row: IncidentRow) -> tuple[Shape, str]:
    """Is acknowledged data at risk?"""
    if row.data_at_risk is None:
        return "unknown", "can't be said: no node that leads answered"
    if row.data_at_risk:
        return "firing", "yes: some of it is on fewer disks than a quorum"
    return "ok", "no: all of it is on a quorum of disks"


def live_context(incident_id: int, picture: Picture, *, reader: str = "") -> dict[str, Any]:
    """All that changes on an incident's page while it is open. Raises NoSuchIncident."""
    row = queries.get(incident_id)
    now = timezone.now()
    here = presence.here(incident_id, now_s=time.monotonic())
    onset_ms = clock.to_ms(row.onset_at)
    until_ms = clock.to_ms(row.resolved_at) if row.resolved_at else clock.to_ms(now)
    risk_shape, risk = risk_of(row)
    runs: Sequence[RunRow] = recent_runs(RUNS_SHOWN, subject=f"incident:{incident_id}")
    return {
        "incident": row,
        "incident_id": row.id,
        "shape": shape_of(row),
        "verdict": verdict_of(row, here=here, reader=reader),
        "badge": badge_of(picture),
        "telemetry": picture.telemetry,
        "figures": figures_of(row, now),
        "risk_shape": risk_shape,
        "risk": risk,
        "alerts": queries.alerts_of(row.id),
        "changes": changes.between(onset_ms - CHANGES_BEFORE_MS, until_ms, limit=8),
        "heard": changes.sources_heard(clock.to_ms(now)),
        "timeline": queries.timeline(row.id),
        "runs": runs,
        "active_run": next((run for run in runs if run.is_active), None),
        "marks": marks_of(row, runs),
    }


def marks_of(row: IncidentRow, runs: Sequence[RunRow]) -> str:
    """What the strips show beside their lines: "from,to,colour,label;...", Unix ms, `to` empty for
    a moment; a run that goes on ends at 0.
    """
    told = [f"{clock.to_ms(row.onset_at)},,firing-fill,onset"]
    for run in runs:
        if run.started_at is not None and run.kind != LOOKS_ONLY:
            until_ms = 0 if run.finished_at is None else clock.to_ms(run.finished_at)
            told.append(f"{clock.to_ms(run.started_at)},{until_ms},accent,run {run.id}")
    return ";".join(told)


def page_context(incident_id: int, picture: Picture, *, reader: str) -> dict[str, Any]:
    """The live parts, with those that look after themselves."""
    page = live_context(incident_id, picture, reader=reader)
    row: IncidentRow = page["incident"]
    cause = top(incident_id)
    return page | {
        "cause": cause,
        "next_step": step_for(row, cause),
        "charts": [*(chart for chart in charts() if chart.key in STRIPS), flush_chart()],
        "chips": [{"name": name, "kinds": " ".join(kinds)} for name, kinds in KINDS.items()],
        "others": Incident.objects.filter(state__in=queries.OPEN)
        .exclude(pk=row.id)
        .order_by("-id")
        .values("pk", "headline")[:20],
        "matchers": matchers_of(page["alerts"]),
        "live_page": f"incident-{row.id}",
    }


def step_for(row: IncidentRow, cause: Cause | None) -> NextStep | None:
    """The runbook for the cause that is named, with its conditions as they are now."""
    if not row.is_open:
        return None
    kind, entity = row.cause_kind, row.cause_entity
    first = None if cause is None else cause.first
    told = first is not None and (first.kind, first.entity) == (kind, entity)
    params = first.remedy if first is not None and told else {}
    return suggest(f"incident:{row.id}", kind=kind, entity=entity, params=params)


def next_context(incident_id: int) -> dict[str, Any]:
    """The next step alone, which is read again while the page is open. Raises NoSuchIncident."""
    row = queries.get(incident_id)
    runs = recent_runs(RUNS_SHOWN, subject=f"incident:{incident_id}")
    return {
        "incident": row,
        "next_step": step_for(row, top(incident_id)),
        "runs": runs,
        "active_run": next((run for run in runs if run.is_active), None),
    }


def matchers_of(alerts: Sequence[queries.AlertRow]) -> str:
    """What a silence of this incident would match: the newest alert's rule and labels."""
    if not alerts:
        return ""
    first = alerts[0]
    labels = {"rule": first.rule}
    labels |= {name: first.labels[name] for name in ("node", "fleet") if name in first.labels}
    return shlex.join(f"{name}={value}" for name, value in labels.items())


def list_context(asked: Filter, page: int, picture: Picture) -> dict[str, Any]:
    rows, total = queries.listed(asked, page=page)
    open_count = queries.open_count()
    size = limits.LISTED_MAX
    return {
        "verdict": list_verdict(rows, open_count),
        "badge": badge_of(picture),
        "rows": [(row, shape_of(row), word_of(row)) for row in rows],
        "asked": asked,
        "total": total,
        "page": page,
        "page_count": max(1, -(-total // size)),
        "open_count": open_count,
    }


def list_verdict(rows: Sequence[IncidentRow], open_count: int) -> Verdict:
    waiting = [row for row in rows if row.state == State.OPEN and not row.is_drill]
    if waiting:
        row = waiting[0]
        more = f", and {open_count - 1} more open" if open_count > 1 else ""
        return Verdict(
            state=shape_of(row),
            sentence=f"{row.name} waits for somebody: {row.headline}{more}",
            context="Acknowledge it on its page; until then the next person is called.",
        )
    if open_count:
        verb = "incident is" if open_count == 1 else "incidents are"
        return Verdict(state="warning", sentence=f"{open_count} {verb} open, and in hand")
    if not rows:
        return Verdict(
            state="idle",
            sentence="No incident so far",
            context="One opens by itself when an objective burns; a drill shows how it looks.",
        )
    newest = rows[0]
    ago = span((timezone.now() - newest.opened_at).total_seconds())
    return Verdict(
        state="ok",
        sentence=f"No open incident; the last was {newest.name}",
        context=f"{newest.headline}, {ago} ago",
    )
