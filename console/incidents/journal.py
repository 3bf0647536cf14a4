"""What the machine writes on incidents: decisions of memory, made rows after the fact.

The table may know more than the memory that decided: a person has resolved or merged the incident
meanwhile. So a decision's deed is asked of the lifecycle again, from the state in the row, and what
belongs to a merged incident goes to the one that it was merged into. Writing the same decision
twice changes nothing but a timeline line. A batch is one transaction, since a storm is thousands of
decisions and each commit is a flush.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import F

from console.incidents import limits
from console.incidents.grouping import Decision, Word
from console.incidents.lifecycle import Deed, State, after
from console.incidents.models import Alert, Incident, TimelineRow
from runbooks.clock import from_ms, to_ms
from telemetry.slo.alerts import Transition

WATCHER = "watcher"
JOINS_TOLD_MAX = 20
DEEDS = {Word.REOPENED: Deed.REOPEN, Word.RECOVERED: Deed.RECOVER}


def write(decisions: Sequence[Decision]) -> dict[str, int]:
    """Write them down in one transaction; the numbers of their incidents, by key."""
    with transaction.atomic():
        return {decision.incident.key: _write(decision).pk for decision in decisions}


def _write(decision: Decision) -> Incident:
    row = _row_of(decision)
    if decision.transition is not None:
        _write_alert(row, decision, decision.transition)
    changes = _changes(row, decision)
    alerts = Alert.objects.filter(incident=row)
    Incident.objects.filter(pk=row.pk).update(
        version=F("version") + 1,
        alert_count=alerts.count(),
        firing_count=alerts.filter(is_firing=True).count(),
        **changes,
    )
    text = _sentence(row, decision)
    if text:
        TimelineRow.objects.create(
            incident=row,
            at=from_ms(decision.at_ms),
            kind="machine" if decision.word is Word.RECOVERED else "alert",
            actor=WATCHER,
            text=text[: limits.NOTE_CHARS_MAX],
        )
    return row


def _row_of(decision: Decision) -> Incident:
    known = decision.incident
    row, _ = Incident.objects.get_or_create(
        key=known.key,
        defaults={
            "state": State.OPEN.value,
            "severity": known.severity,
            "headline": known.headline[: limits.HEADLINE_CHARS_MAX],
            "scope": known.scope[: limits.KEY_CHARS_MAX],
            "drill_run": known.drill_run,
            "onset_at": from_ms(known.onset_ms),
            "opened_at": from_ms(known.opened_ms),
        },
    )
    return row.merged_into or row


def _write_alert(row: Incident, decision: Decision, transition: Transition) -> None:
    at = from_ms(decision.at_ms)
    key = transition.key[: limits.KEY_CHARS_MAX]
    if transition.state == "resolved":
        Alert.objects.filter(incident=row, key=key, is_firing=True).update(
            is_firing=False, ended_at=at
        )
        return
    facts: dict[str, Any] = {
        "tier": transition.tier[:40],
        "severity": transition.severity,
        "headline": transition.headline[: limits.HEADLINE_CHARS_MAX],
        "value": transition.value,
        "is_silenced": decision.is_silenced,
    }
    alert, is_new = Alert.objects.get_or_create(
        incident=row,
        key=key,
        defaults={
            **facts,
            "source": transition.labels.get("source", "holdfast")[:40],
            "rule": transition.rule[: limits.KEY_CHARS_MAX],
            "labels": dict(transition.labels),
            "started_at": from_ms(transition.started_ms),
            "fired_at": at,
        },
    )
    if not is_new:
        flap = {} if alert.is_firing else {"fired_count": F("fired_count") + 1, "fired_at": at}
        Alert.objects.filter(pk=alert.pk).update(is_firing=True, ended_at=None, **facts, **flap)


def _changes(row: Incident, decision: Decision) -> dict[str, Any]:
    word, known, at = decision.word, decision.incident, from_ms(decision.at_ms)
    changes: dict[str, Any] = {}
    if word is Word.WORSENED:
        changes |= {"severity": known.severity, "headline": known.headline}
    if word is Word.MADE_REAL:
        changes["drill_run"] = None
    deed = DEEDS.get(word, Deed.REOPEN if row.state == State.RESOLVED else None)
    if word is Word.RECOVERED:
        changes["recovered_at"] = at
        if row.drill_run is not None:
            deed = Deed.RESOLVE
        if row.state == State.OPEN:
            changes["recovered_alone"] = not row.timeline.filter(
                kind__in=("person", "run")
            ).exists()
    if word is Word.ALERT_ENDED or deed is None:
        return changes
    to = after(State(row.state), deed)
    if to is None:
        return changes
    changes["state"] = to.value
    if to is State.RESOLVED:
        changes |= {"resolved_at": at, "resolved_by": WATCHER}
    elif to is State.MITIGATED:
        changes |= {"mitigated_at": at, "mitigated_by": WATCHER}
    else:
        changes |= {"resolved_at": None, "resolved_by": "", "recovered_at": None, "fixed_at": None}
    return changes


def _sentence(row: Incident, decision: Decision) -> str:
    transition = decision.transition
    told = transition.headline if transition is not None else row.headline
    silenced = " (silenced)" if decision.is_silenced else ""
    drill = ", by a drill" if row.drill_run is not None else ""
    if decision.word is Word.JOINED and decision.incident.alert_count > JOINS_TOLD_MAX:
        return ""
    return {
        Word.OPENED: f"Opened{drill}: {told}{silenced}",
        Word.JOINED: f"Also: {told}{silenced}",
        Word.WORSENED: f"Worse: {told}{silenced}",
        Word.REOPENED: f"Again: {told}{silenced}",
        Word.ALERT_ENDED: "" if decision.incident.alert_count > JOINS_TOLD_MAX else f"Over: {told}",
        Word.RECOVERED: f"Recovered: {told}, and no alert is left",
        Word.MADE_REAL: f"The drill is over, the trouble is not: {told}",
    }[decision.word]


def note_page(key: str, text: str, *, at_ms: int) -> None:
    """A line about who was told. Nothing if the incident is not written yet."""
    row = Incident.objects.filter(key=key).first()
    if row is not None:
        TimelineRow.objects.create(
            incident=row, at=from_ms(at_ms), kind="page", actor=WATCHER, text=text
        )


def note_impact(
    incident_id: int,
    *,
    failed: int | None,
    late: int | None,
    tenants: Sequence[str],
    data_at_risk: bool | None,
    at_ms: int,
) -> None:
    """What users have felt so far. Figures never go back: a source that lost some knows less."""
    row = Incident.objects.get(pk=incident_id)
    Incident.objects.filter(pk=incident_id).update(
        requests_failed=_most(row.requests_failed, failed),
        requests_late=_most(row.requests_late, late),
        tenants=sorted({*row.tenants, *tenants})[:100],
        data_at_risk=data_at_risk,
        impact_at=from_ms(at_ms),
    )


def note_fixed(incident_id: int, *, fixed_ms: int) -> bool:
    """The start of the first 30 s with every objective met; written once."""
    with transaction.atomic():
        won = Incident.objects.filter(pk=incident_id, fixed_at=None).update(
            version=F("version") + 1, fixed_at=from_ms(fixed_ms)
        )
        if won:
            row = Incident.objects.get(pk=incident_id)
            took = (fixed_ms - to_ms(row.onset_at)) / 1000
            TimelineRow.objects.create(
                incident=row,
                at=from_ms(fixed_ms),
                kind="machine",
                actor=WATCHER,
                text=f"Fixed: every objective is met from here on, {took:.1f} s after the onset",
            )
    return won == 1


def end_mitigated(*, before_ms: int, now_ms: int) -> int:
    """Resolve what was mitigated before then and has no alert since; how many."""
    stale = Incident.objects.filter(
        state=State.MITIGATED.value, firing_count=0, mitigated_at__lt=from_ms(before_ms)
    )[:100]
    ended = 0
    for row in stale:
        with transaction.atomic():
            won = Incident.objects.filter(pk=row.pk, version=row.version).update(
                version=F("version") + 1,
                state=State.RESOLVED.value,
                resolved_at=from_ms(now_ms),
                resolved_by=WATCHER,
            )
            if won:
                ended += 1
                TimelineRow.objects.create(
                    incident=row,
                    at=from_ms(now_ms),
                    kind="machine",
                    actor=WATCHER,
                    text="Resolved: mitigated half an hour ago, and quiet since",
                )
    return ended


def _most(before: int | None, now: int | None) -> int | None:
    known = [value for value in (before, now) if value is not None]
    return max(known) if known else None
