"""The hand-over: what the next person on call must know, as one page of Markdown."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from console.changes import queries as changes
from console.incidents import queries
from console.incidents.page import impact_words
from console.incidents.postmortem import plain
from console.incidents.queries import IncidentRow
from console.notify.queries import paging
from console.oncall.queries import on_call
from console.verdict import Verdict, plural
from runbooks.clock import to_ms
from runbooks.queries import recent_runs

SHIFT = timedelta(hours=12)
ROWS_MAX = 50


def verdict() -> Verdict:
    count = queries.open_count()
    return Verdict(
        state="warning" if count else "ok",
        sentence=f"Hand-over: {plural(count, 'open incident')}"
        if count
        else "Hand-over: all quiet",
        context="The last 12 hours, for who is on call next. Copy it as Markdown.",
    )


def text() -> str:
    now = timezone.now()
    since = now - SHIFT
    rows, _ = queries.open_incidents(ROWS_MAX)
    closed = queries.closed_since(since, ROWS_MAX)
    quiet = queries.silences(now)
    changed = changes.between(to_ms(since), to_ms(now), limit=ROWS_MAX)
    runs = [run for run in recent_runs(ROWS_MAX) if run.is_active or run.state == "unknown"]
    duty = on_call(now)
    until = f" until {duty.until:%Y-%m-%d %H:%M} UTC" if duty.until else ""
    return "\n".join(
        [
            f"# Hand-over, {now:%Y-%m-%d %H:%M} UTC",
            "",
            f"On call: {', '.join(who.username for who in duty.primary) or 'nobody'}{until}. "
            f"{paging().sentence}.",
            "",
            "## Open",
            "",
            *([_line(row) for row in rows] or ["Nothing."]),
            "",
            "## Closed in the last 12 hours",
            "",
            *([_line(row) for row in closed] or ["Nothing."]),
            "",
            "## Silences",
            "",
            *(
                [
                    f"- until {row.until:%H:%M} UTC: "
                    f"{plain(', '.join(f'{k}={v}' for k, v in row.matchers.items()))}, "
                    f"by {plain(row.made_by)}: {plain(row.reason)}"
                    for row in quiet
                ]
                or ["None."]
            ),
            "",
            "## Runs that are not over, or unsettled",
            "",
            *(
                [f"- run {run.id} {plain(run.title)} on {run.target}: {run.state}" for run in runs]
                or ["None."]
            ),
            "",
            "## Changed",
            "",
            *(
                [f"- {row.source}: {plain(row.title)}" for row in changed]
                or ["No change reported."]
            ),
            "",
        ]
    )


def _line(row: IncidentRow) -> str:
    facts = [row.state, f"owner {row.owner or 'nobody'}", *impact_words(row)]
    cause = plain(row.cause_headline) or "cause unknown"
    drill = "drill, " if row.is_drill else ""
    link = f"{settings.PUBLIC_URL}/incidents/{row.id}"
    return f"- [{row.name}]({link}) {plain(row.headline)}: {drill}{', '.join(facts)}; {cause}"
