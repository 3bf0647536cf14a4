"""What pages and the API may ask of incidents: frozen values, a fixed number of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from console.incidents import limits
from console.incidents.errors import NoSuchIncident
from console.incidents.lifecycle import STATES_OPEN, Deed, State, after
from console.incidents.models import Alert, Incident, Silence, TimelineRow

OPEN = [state.value for state in STATES_OPEN]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRow:
    """One incident. Times are aware UTC; None where it has not happened (yet)."""

    id: int
    key: str
    version: int
    state: str
    severity: str
    headline: str
    scope: str
    drill_run: int | None
    merged_into: int | None
    owner: str
    lead: str
    cause_entity: str
    cause_kind: str
    cause_headline: str
    onset_at: datetime
    opened_at: datetime
    named_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str
    mitigated_at: datetime | None
    mitigated_by: str
    recovered_at: datetime | None
    fixed_at: datetime | None
    resolved_at: datetime | None
    resolved_by: str
    recovered_alone: bool
    alert_count: int
    firing_count: int
    requests_failed: int | None
    requests_late: int | None
    tenants: tuple[str, ...]
    data_at_risk: bool | None
    impact_at: datetime | None

    @property
    def name(self) -> str:
        return f"INC-{self.id}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def is_drill(self) -> bool:
        return self.drill_run is not None

    def can(self, deed: str) -> bool:
        return after(State(self.state), Deed(deed)) is not None

    @property
    def can_acknowledge(self) -> bool:
        return self.can(Deed.ACKNOWLEDGE)

    @property
    def can_mitigate(self) -> bool:
        return self.state != State.OPEN and self.can(Deed.MITIGATE)

    @property
    def can_resolve(self) -> bool:
        return self.can(Deed.RESOLVE)

    @property
    def lasted_s(self) -> float:
        """From onset to the end, or so far."""
        end = self.resolved_at or self.recovered_at or timezone.now()
        return max(0.0, (end - self.onset_at).total_seconds())

    @property
    def detected_s(self) -> float:
        """From onset to incident."""
        return max(0.0, (self.opened_at - self.onset_at).total_seconds())

    @property
    def named_s(self) -> float | None:
        """From incident to cause."""
        return _between(self.opened_at, self.named_at)

    @property
    def fixed_s(self) -> float | None:
        """From onset to the start of the first 30 s with every objective met."""
        return _between(self.onset_at, self.fixed_at or self.recovered_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    id: int
    incident_id: int
    key: str
    source: str
    rule: str
    tier: str
    severity: str
    headline: str
    labels: Mapping[str, str]
    value: float | None
    is_firing: bool
    is_silenced: bool
    fired_count: int
    started_at: datetime
    fired_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineLine:
    id: int
    at: datetime
    kind: str
    actor: str
    text: str
    run_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceRow:
    id: int
    matchers: Mapping[str, str]
    reason: str
    made_by: str
    made_at: datetime
    until: datetime
    incident_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What the list is narrowed to. An empty value means all."""

    state: str = ""  # "open", or one state
    severity: str = ""
    owner: str = ""
    text: str = ""
    drills: str = ""  # "" all | "no" | "only"


def get(incident_id: int) -> IncidentRow:
    """Raises NoSuchIncident. One query."""
    row = Incident.objects.filter(pk=incident_id).first()
    if row is None:
        raise NoSuchIncident(incident_id)
    return _row(row)


def id_of(key: str) -> int | None:
    """The number behind a key; None while the incident is not written."""
    found: int | None = Incident.objects.filter(key=key).values_list("pk", flat=True).first()
    return found


def open_incidents(limit: int, *, scope: str = "") -> tuple[tuple[IncidentRow, ...], int]:
    """Pages before tickets, real before drills, newest first; and how many there are in all. Of one
    scope (our fleet, or a foreign sender), or of all.
    """
    rows = Incident.objects.filter(state__in=OPEN, **({"scope": scope} if scope else {}))
    order = ("severity", "drill_run", "-id")
    return tuple(_row(row) for row in rows.order_by(*order)[:limit]), rows.count()


def open_count() -> int:
    return Incident.objects.filter(state__in=OPEN).count()


def closed_since(since: datetime, limit: int) -> tuple[IncidentRow, ...]:
    """Real ones that ended since then, newest first. One query."""
    rows = Incident.objects.filter(resolved_at__gte=since, drill_run=None).order_by("-id")
    return tuple(_row(row) for row in rows[:limit])


def last_closed() -> IncidentRow | None:
    row = Incident.objects.exclude(state__in=OPEN).order_by("-resolved_at").first()
    return None if row is None else _row(row)


def listed(
    asked: Filter, *, page: int = 1, size: int = limits.LISTED_MAX
) -> tuple[tuple[IncidentRow, ...], int]:
    """One page of the list, open ones first, then newest; and how many match. Two queries."""
    rows = _matching(asked)
    start = (max(1, page) - 1) * size
    found = rows.extra(
        select={"is_over": "state = %s"}, select_params=[State.RESOLVED.value]
    ).order_by("is_over", "-id")[start : start + size]
    return tuple(_row(row) for row in found), rows.count()


def _matching(asked: Filter) -> QuerySet[Incident]:
    rows = Incident.objects.all()
    if asked.state:
        rows = rows.filter(state__in=OPEN if asked.state == "open" else [asked.state])
    if asked.severity:
        rows = rows.filter(severity=asked.severity)
    if asked.owner:
        rows = rows.filter(owner=asked.owner)
    if asked.drills:
        rows = rows.filter(drill_run__isnull=asked.drills == "no")
    if asked.text:
        rows = rows.filter(Q(headline__icontains=asked.text) | Q(key__icontains=asked.text))
    return rows


def alerts_of(
    incident_id: int, *, page: int = 1, size: int = limits.ALERTS_SHOWN_MAX
) -> tuple[AlertRow, ...]:
    """Firing ones first, then newest. One query."""
    start = (max(1, page) - 1) * size
    rows = Alert.objects.filter(incident_id=incident_id).order_by("-is_firing", "-id")
    return tuple(_alert(row) for row in rows[start : start + size])


def timeline(
    incident_id: int, *, kinds: Sequence[str] = (), limit: int = limits.TIMELINE_SHOWN_MAX
) -> tuple[TimelineLine, ...]:
    """Newest first. One query."""
    rows = TimelineRow.objects.filter(incident_id=incident_id)
    if kinds:
        rows = rows.filter(kind__in=kinds)
    return tuple(
        TimelineLine(
            id=row.pk, at=row.at, kind=row.kind, actor=row.actor, text=row.text, run_id=row.run_id
        )
        for row in rows.order_by("-at", "-id")[:limit]
    )


def silences(now: datetime) -> tuple[SilenceRow, ...]:
    """Those in force, the first to end first. One query."""
    rows = Silence.objects.filter(ended_at=None, until__gt=now).order_by("until")
    return tuple(
        SilenceRow(
            id=row.pk,
            matchers=row.matchers,
            reason=row.reason,
            made_by=row.made_by,
            made_at=row.made_at,
            until=row.until,
            incident_id=row.incident_id,
        )
        for row in rows
    )


def _between(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else max(0.0, (end - start).total_seconds())


_SAME = tuple(
    name
    for name in IncidentRow.__dataclass_fields__
    if name not in ("id", "merged_into", "tenants")
)


def of_drill(run_id: int) -> IncidentRow | None:
    """The first incident that this drill opened; None if nothing alerted (yet). One query."""
    row = Incident.objects.filter(drill_run=run_id, merged_into=None).order_by("pk").first()
    return None if row is None else _row(row)


def _row(row: Incident) -> IncidentRow:
    same: dict[str, Any] = {name: getattr(row, name) for name in _SAME}
    return IncidentRow(
        id=row.pk, merged_into=row.merged_into_id, tenants=tuple(row.tenants), **same
    )


def _alert(row: Alert) -> AlertRow:
    names = AlertRow.__dataclass_fields__
    facts: dict[str, Any] = {name: getattr(row, name) for name in names if name != "id"}
    return AlertRow(id=row.pk, **facts)
