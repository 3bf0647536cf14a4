"""The postmortem's first draft, as Markdown, from what was recorded while it happened.

Facts only: what nobody measured is said to be unknown, and what people must judge is left as a
question for them.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings

from console.changes import queries as changes
from console.changes.queries import ChangeRow
from console.incidents import queries
from console.incidents.page import CHANGES_BEFORE_MS, impact_words, risk_of
from console.incidents.queries import IncidentRow, TimelineLine
from runbooks.clock import as_text, to_ms

LINES_MAX = 1_000


def of(incident_id: int) -> str:
    """Raises NoSuchIncident."""
    row = queries.get(incident_id)
    since_ms = to_ms(row.onset_at)
    until_ms = to_ms(row.resolved_at) if row.resolved_at else since_ms + CHANGES_BEFORE_MS
    return markdown(
        row,
        queries.timeline(incident_id, limit=LINES_MAX),
        changes.between(since_ms - CHANGES_BEFORE_MS, until_ms),
        link=f"{settings.PUBLIC_URL}/incidents/{incident_id}",
    )


def markdown(
    row: IncidentRow,
    timeline: Sequence[TimelineLine],
    changed: Sequence[ChangeRow],
    *,
    link: str,
) -> str:
    """Pure."""
    drill = " (drill)" if row.is_drill else ""
    cause = row.cause_headline or "unknown"
    entity = f" (`{row.cause_entity}`, `{row.cause_kind}`)" if row.cause_entity else ""
    parts = [
        f"# {row.name}: {plain(row.headline)}{drill}",
        f"[{row.name}]({link}), {row.state}. Severity: {row.severity}. "
        f"Owner: {row.owner or 'nobody'}. Lead: {row.lead or 'nobody'}.",
        "## What happened\n\n"
        + "\n".join(
            [
                f"- Onset: {as_text(to_ms(row.onset_at))}",
                f"- Detected: {row.detected_s:.1f} s after the onset",
                f"- Named: {_after(row.named_s)} after the alert: {plain(cause)}{entity}",
                f"- Fixed: {_after(row.fixed_s)} after the onset",
                *(["- Recovered without a hand; nobody acknowledged"] * row.recovered_alone),
            ]
        ),
        "## Impact\n\n"
        + "\n".join(
            [
                f"- Requests: {', '.join(impact_words(row)) or 'not measured'}",
                f"- Acknowledged data at risk: {risk_of(row)[1]}",
                f"- Alerts: {row.alert_count}",
            ]
        ),
        "## Changed in the 15 minutes before\n\n" + _changes(changed),
        "## Timeline (UTC)\n\n" + _timeline(timeline),
        "## What we do about it\n\n- What let it happen?\n- What would have found it sooner?\n"
        "- What would have fixed it without us?\n- Who does what by when?",
    ]
    return "\n\n".join(parts) + "\n"


def _after(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


def _changes(changed: Sequence[ChangeRow]) -> str:
    if not changed:
        return "No change reported."
    return "\n".join(
        f"- {as_text(change.at_ms)} {plain(change.title)}{f', {change.actor}' * bool(change.actor)}"
        for change in reversed(changed)
    )


def _timeline(timeline: Sequence[TimelineLine]) -> str:
    rows = [
        f"| {line.at:%H:%M:%S} | {plain(line.actor)} | {plain(line.text)} |"
        for line in reversed(timeline)
    ]
    return "\n".join(["| when | who | what |", "|---|---|---|", *rows])


def plain(text: str) -> str:
    """On one line, and no table or markup of its own."""
    told = " ".join(text.split())
    for mark in "\\|*_`<>[]#":
        told = told.replace(mark, f"\\{mark}")
    return told
