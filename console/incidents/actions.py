"""What people do to an incident, and what other parts of the console write on it.

Each change of state is a compare-and-set on the state that the table of `lifecycle` was asked
about: of two people who press at once one wins, and the other reads who it was. Every deed is a
line of the timeline, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from console.incidents import limits
from console.incidents.errors import BadField, NoSuchIncident, TooLate
from console.incidents.lifecycle import PAST, Deed, Severity, State, after
from console.incidents.models import Alert, Incident, Silence, TimelineRow
from console.texts import EXPECTED, is_seen
from runbooks.clock import from_ms

MACHINE = "holdfast"
ROLES = ("owner", "lead")


def acknowledge(incident_id: int, *, actor: str, via: str = "") -> Incident:
    """Take it: nobody else is told any more, and the actor owns it unless somebody does."""
    return _move(incident_id, Deed.ACKNOWLEDGE, actor=actor, via=via)


def mitigate(incident_id: int, *, actor: str) -> Incident:
    """Users no longer feel it; the cause may still be there."""
    return _move(incident_id, Deed.MITIGATE, actor=actor)


def resolve(incident_id: int, *, actor: str) -> Incident:
    return _move(incident_id, Deed.RESOLVE, actor=actor)


def note(incident_id: int, *, actor: str, text: str) -> TimelineRow:
    text = _text("note", text, limits.NOTE_CHARS_MAX)
    return _line(_existing(incident_id), "note", actor, text)


def note_machine(
    incident_id: int, *, kind: str, text: str, at_ms: int, run_id: int | None = None
) -> TimelineRow:
    """A line that a part of ours adds: `kind` is one of TimelineRow.KINDS."""
    assert kind in TimelineRow.KINDS, kind
    row = _existing(incident_id)
    return _line(
        row, kind, MACHINE, text[: limits.NOTE_CHARS_MAX], at=from_ms(at_ms), run_id=run_id
    )


def named(incident_id: int, *, headline: str, entity: str, kind: str, at_ms: int) -> bool:
    """Triage names the cause, or a better one. False: it is the same as before."""
    headline = headline[: limits.HEADLINE_CHARS_MAX]
    with transaction.atomic():
        row = _existing(incident_id)
        if (row.cause_entity, row.cause_kind, row.cause_headline) == (entity, kind, headline):
            return False
        Incident.objects.filter(pk=row.pk).update(
            version=F("version") + 1,
            cause_entity=entity[: limits.NAME_CHARS_MAX],
            cause_kind=kind[:60],
            cause_headline=headline,
            named_at=row.named_at or from_ms(at_ms),
        )
        word = "Named" if row.named_at is None else "Named anew"
        _line(row, "finding", "triage", f"{word}: {headline}", at=from_ms(at_ms))
    return True


def assign(incident_id: int, *, role: str, person: str, actor: str) -> Incident:
    """Give a role (owner or lead) to somebody; an empty name takes it away."""
    if role not in ROLES:
        raise BadField("role", "owner or lead")
    person = _text("person", person, limits.NAME_CHARS_MAX, required=False)
    with transaction.atomic():
        row = _existing(incident_id)
        Incident.objects.filter(pk=row.pk).update(version=F("version") + 1, **{role: person})
        _line(row, "person", actor, f"made {person} {role}" if person else f"took away the {role}")
    return _existing(incident_id)


def set_severity(incident_id: int, *, severity: str, actor: str) -> Incident:
    if severity not in {s.value for s in Severity}:
        raise BadField("severity", "page or ticket")
    with transaction.atomic():
        row = _existing(incident_id)
        changed = (
            Incident.objects.filter(pk=row.pk)
            .exclude(severity=severity)
            .update(version=F("version") + 1, severity=severity)
        )
        if changed:
            _line(row, "person", actor, f"set the severity to {severity}, was {row.severity}")
    return _existing(incident_id)


def escalate(incident_id: int, *, actor: str, reason: str = "") -> Incident:
    """Ask for the next person of the chain now; the watcher calls them within a second or two."""
    with transaction.atomic():
        row = _existing(incident_id)
        if row.state == State.RESOLVED:
            raise _late(row, "escalated")
        Incident.objects.filter(pk=row.pk).update(version=F("version") + 1)
        because = f": {_text('reason', reason, limits.HEADLINE_CHARS_MAX)}" if reason else ""
        _line(row, "person", actor, f"escalated to the next person{because}")
        row.escalations.create(by=actor, at=timezone.now())
    return _existing(incident_id)


def merge(incident_id: int, *, into_id: int, actor: str) -> Incident:
    """What belongs to one incident goes to the other, which lives on. Both say so."""
    if incident_id == into_id:
        raise BadField("into", "another incident")
    with transaction.atomic():
        row, into = _existing(incident_id), _existing(into_id)
        if into.state == State.RESOLVED:
            raise _late(into, "merged into")
        now = timezone.now()
        won = Incident.objects.filter(pk=row.pk, version=row.version, merged_into=None).update(
            version=F("version") + 1,
            state=State.RESOLVED.value,
            resolved_at=now,
            resolved_by=actor,
            merged_into=into,
            firing_count=0,
        )
        if not won:
            raise _late(row, "merged")
        known = set(into.alerts.values_list("key", flat=True))
        moved = row.alerts.exclude(key__in=known).update(incident=into)
        _count_alerts(into.pk)
        _line(row, "person", actor, f"merged it into INC-{into.pk}", at=now)
        _line(into, "person", actor, f"merged INC-{row.pk} into it, with {moved} alerts", at=now)
    return _existing(into_id)


def silence(
    incident_id: int | None,
    *,
    matchers: Mapping[str, str],
    hours: float,
    reason: str,
    actor: str,
) -> Silence:
    """Alerts whose labels match all of `matchers` page nobody for `hours` (at most a day)."""
    if not matchers or len(matchers) > limits.MATCHERS_MAX:
        raise BadField("matchers", f"1 to {limits.MATCHERS_MAX} labels with their values")
    if not 0 < hours <= limits.SILENCE_HOURS_MAX:
        raise BadField("hours", f"more than 0, at most {limits.SILENCE_HOURS_MAX}")
    reason = _text("reason", reason, limits.HEADLINE_CHARS_MAX)
    now = timezone.now()
    with transaction.atomic():
        row = _existing(incident_id) if incident_id is not None else None
        made = Silence.objects.create(
            matchers=dict(matchers),
            reason=reason,
            made_by=actor,
            made_at=now,
            until=now + timedelta(hours=hours),
            incident=row,
        )
        if row is not None:
            told = ", ".join(f"{name}={value}" for name, value in sorted(matchers.items()))
            _line(row, "person", actor, f"silenced {told} for {hours:g} h: {reason}", at=now)
    return made


def end_silence(silence_id: int, *, actor: str) -> bool:
    """False: it had ended before."""
    now = timezone.now()
    return (
        Silence.objects.filter(pk=silence_id, ended_at=None, until__gt=now).update(
            ended_at=now, ended_by=actor
        )
        == 1
    )


def _move(incident_id: int, deed: Deed, *, actor: str, via: str = "") -> Incident:
    with transaction.atomic():
        row = _existing(incident_id)
        to = after(State(row.state), deed)
        if to is None:
            raise _late(row, PAST[deed])
        changes: dict[str, Any] = {"state": to.value, **_stamps(row, to, actor, timezone.now())}
        won = Incident.objects.filter(pk=row.pk, state=row.state, version=row.version).update(
            version=F("version") + 1, **changes
        )
        if not won:
            raise _late(_existing(incident_id), PAST[deed])
        _line(row, "person", actor, f"{PAST[deed]} it{via}")
    return _existing(incident_id)


def _stamps(row: Incident, to: State, actor: str, now: datetime) -> dict[str, Any]:
    if to is State.ACKNOWLEDGED:
        owner = {} if row.owner else {"owner": actor}
        return {"acknowledged_at": now, "acknowledged_by": actor, **owner}
    if to is State.MITIGATED:
        return {"mitigated_at": now, "mitigated_by": actor}
    assert to is State.RESOLVED, to
    return {"resolved_at": now, "resolved_by": actor}


def _late(row: Incident, asked: str) -> TooLate:
    by = {
        State.ACKNOWLEDGED.value: row.acknowledged_by,
        State.MITIGATED.value: row.mitigated_by,
        State.RESOLVED.value: row.resolved_by,
    }.get(row.state, "")
    return TooLate(row.pk, asked=asked, state=row.state, by=by)


def _existing(incident_id: int) -> Incident:
    row = Incident.objects.filter(pk=incident_id).first()
    if row is None:
        raise NoSuchIncident(incident_id)
    return row


def _count_alerts(incident_id: int) -> None:
    alerts = Alert.objects.filter(incident_id=incident_id)
    Incident.objects.filter(pk=incident_id).update(
        version=F("version") + 1,
        alert_count=alerts.count(),
        firing_count=alerts.filter(is_firing=True).count(),
    )


def _line(
    row: Incident,
    kind: str,
    actor: str,
    text: str,
    *,
    at: datetime | None = None,
    run_id: int | None = None,
) -> TimelineRow:
    return TimelineRow.objects.create(
        incident=row,
        at=at or timezone.now(),
        kind=kind,
        actor=actor[: limits.NAME_CHARS_MAX],
        text=text,
        run_id=run_id,
    )


def _text(field: str, value: str, chars_max: int, *, required: bool = True) -> str:
    value = value.strip()
    if len(value) > chars_max or (required and not value):
        raise BadField(field, f"{1 if required else 0} to {chars_max} characters")
    if not is_seen(value):
        raise BadField(field, EXPECTED)
    return value
