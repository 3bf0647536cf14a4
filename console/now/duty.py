"""What a person on duty must see first: open incidents, whether pages reach anybody, who is called.

The sentence of the page is the worst open incident if there is one; the fleet's own health then
gives the context its place. What is blind always comes first: all else may be old.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from console.changes.queries import last_change
from console.figures import clock_time, span
from console.incidents import queries
from console.incidents.lifecycle import Severity
from console.incidents.page import shape_of
from console.incidents.queries import IncidentRow
from console.notify.queries import Paging, paging
from console.oncall.queries import OnCall, on_call
from console.verdict import Verdict, plural
from runbooks.clock import now_ms, to_ms

SHOWN = 5
CAUSE_CHARS_MAX = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`context` is one line; `last_incident` only where none is open."""

    incidents: tuple[IncidentRow, ...]
    open_count: int
    last_incident: IncidentRow | None
    paging: Paging
    context: str


def standing() -> Standing:
    """At most eight queries, however many incidents there are."""
    now = timezone.now()
    incidents, open_count = queries.open_incidents(SHOWN)
    reach = paging()
    told = [reach.sentence, f"On call: {_who(on_call(now))}"]
    quiet = len(queries.silences(now))
    if quiet:
        told.append(plural(quiet, "silence"))
    change = last_change()
    if change is not None:
        ago = span((now_ms() - change.at_ms) / 1000)
        by = f", {change.actor}" if change.actor else ""
        told.append(f"Last change {ago} ago: {change.title}{by}")
    return Standing(
        incidents=incidents,
        open_count=open_count,
        last_incident=None if incidents else queries.last_closed(),
        paging=reach,
        context=" · ".join(told),
    )


def verdict_with(standing: Standing, health: Verdict) -> Verdict:
    """The page's answer: the worst real incident, else how the fleet is."""
    context = f"{health.context} · {standing.context}" if health.context else standing.context
    worst = next(
        (row for row in standing.incidents if not row.is_drill and row.severity == Severity.PAGE),
        None,
    )
    if worst is None or health.state == "unknown":
        return Verdict(state=health.state, sentence=health.sentence, context=context)
    since = clock_time(to_ms(worst.onset_at))
    cause = f", likely {worst.cause_headline}"[:CAUSE_CHARS_MAX] if worst.cause_headline else ""
    sentence = f"{worst.headline} since {since} UTC{cause}"
    return Verdict(state=shape_of(worst), sentence=sentence, context=context)


def _who(duty: OnCall) -> str:
    names = ", ".join(who.username for who in duty.primary[:3]) or "nobody"
    return f"{names} until {duty.until:%H:%M} UTC" if duty.until else names
