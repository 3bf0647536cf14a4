"""Tables into memory: what the watcher's desk must know of what people and earlier watchers did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from console.incidents import grouping
from console.incidents.intake import Known, Quiet
from console.incidents.lifecycle import STATES_OPEN, State
from console.incidents.models import Alert, Escalation, Incident, Silence
from console.notify.chain import Standing
from console.notify.models import ChainStep
from runbooks.clock import from_ms, to_ms

OPEN = [state.value for state in STATES_OPEN]


def left_open(since_ms: int) -> tuple[grouping.Incident, ...]:
    """Incidents that are open, or ended after `since_ms`, with their alerts. Two queries."""
    rows = Incident.objects.filter(Q(state__in=OPEN) | Q(resolved_at__gte=from_ms(since_ms)))
    firing: dict[int, dict[str, str]] = {}
    past: dict[int, set[str]] = {}
    for alert in Alert.objects.filter(incident__in=rows).only(
        "incident_id", "key", "severity", "is_firing"
    ):
        if alert.is_firing:
            firing.setdefault(alert.incident_id, {})[alert.key] = alert.severity
        else:
            past.setdefault(alert.incident_id, set()).add(alert.key)
    return tuple(
        grouping.Incident(
            key=row.key,
            scope=row.scope,
            headline=row.headline,
            severity=row.severity,
            onset_ms=to_ms(row.onset_at),
            newest_onset_ms=to_ms(row.onset_at),
            opened_ms=to_ms(row.opened_at),
            state=State(row.state),
            number=row.pk,
            drill_run=row.drill_run,
            owner=row.owner,
            cause=row.cause_headline,
            impact=impact_of(row),
            ended_ms=_ended_ms(row),
            alert_count=row.alert_count,
            firing=firing.get(row.pk, {}),
            past=frozenset(past.get(row.pk, ())),
        )
        for row in rows
    )


def known(keys: Sequence[str]) -> tuple[Known, ...]:
    """What the table says of these incidents. One query."""
    rows = Incident.objects.filter(key__in=keys).select_related("merged_into")
    return tuple(
        Known(
            key=row.key,
            number=row.pk,
            state=State(row.state),
            severity=row.severity,
            owner=row.owner,
            cause=row.cause_headline,
            impact=impact_of(row),
            merged_into=row.merged_into.key if row.merged_into else "",
        )
        for row in rows
    )


def silences() -> tuple[Quiet, ...]:
    rows = Silence.objects.filter(ended_at=None, until__gt=timezone.now())
    return tuple(Quiet(matchers=row.matchers, until_ms=to_ms(row.until)) for row in rows)


def standings(*, wait_ms: int) -> Mapping[str, Standing]:
    """How far the chains of open incidents had come."""
    found: dict[str, list[datetime]] = {}
    steps = ChainStep.objects.filter(incident__state=State.OPEN.value).select_related("incident")
    for step in steps.order_by("number"):
        found.setdefault(step.incident.key, []).append(step.taken_at)
    return {
        key: Standing(taken_count=len(times), due_ms=to_ms(times[-1]) + wait_ms)
        for key, times in found.items()
    }


def answer_escalations(now_ms: int) -> tuple[str, ...]:
    """Keys of incidents whose next person was asked for; each is answered once."""
    waiting = Escalation.objects.filter(answered_at=None).select_related("incident")[:50]
    return tuple(
        row.incident.key
        for row in waiting
        if Escalation.objects.filter(pk=row.pk, answered_at=None).update(
            answered_at=from_ms(now_ms)
        )
    )


def impact_of(row: Incident) -> str:
    """One line, with what isn't known left out; empty if nothing is."""
    told = []
    if row.requests_failed is not None:
        told.append(f"{row.requests_failed:,} requests failed")
    if row.requests_late is not None:
        told.append(f"{row.requests_late:,} late")
    if row.tenants:
        told.append(f"{len(row.tenants)} tenant{'s' if len(row.tenants) > 1 else ''}")
    if row.data_at_risk is not None:
        told.append("acknowledged data at risk" if row.data_at_risk else "no data at risk")
    return ", ".join(told)


def _ended_ms(row: Incident) -> int | None:
    ended = row.resolved_at or row.recovered_at
    return to_ms(ended) if ended is not None and row.firing_count == 0 else None
