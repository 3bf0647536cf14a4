"""The tables of incidents. Writes stand in `actions` (people) and `journal` (the machine).

An incident's identity is its `key`, which the watcher gives without asking a database; the row's
number is how people call it. Counters on the incident are kept with it, so that a list of thousands
needs no join. The timeline is only ever added to.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from console.incidents import limits
from console.incidents.lifecycle import STATES_OPEN, Severity, State

_OPEN = [state.value for state in STATES_OPEN]


class Incident(models.Model):
    """`version` counts its changes: whoever changes it says which one they saw."""

    key = models.CharField(max_length=limits.KEY_CHARS_MAX, unique=True)
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in State])
    severity = models.CharField(max_length=8, choices=[(s.value, s.value) for s in Severity])
    headline = models.CharField(max_length=limits.HEADLINE_CHARS_MAX)
    scope = models.CharField(max_length=limits.KEY_CHARS_MAX, default="fleet")
    drill_run = models.PositiveBigIntegerField(null=True)
    merged_into = models.ForeignKey(
        "self", null=True, on_delete=models.SET_NULL, related_name="merged"
    )

    owner = models.CharField(max_length=limits.NAME_CHARS_MAX, blank=True, default="")
    lead = models.CharField(max_length=limits.NAME_CHARS_MAX, blank=True, default="")

    cause_entity = models.CharField(max_length=limits.NAME_CHARS_MAX, blank=True, default="")
    cause_kind = models.CharField(max_length=60, blank=True, default="")
    cause_headline = models.CharField(max_length=limits.HEADLINE_CHARS_MAX, blank=True, default="")

    onset_at = models.DateTimeField()
    opened_at = models.DateTimeField()
    named_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=limits.NAME_CHARS_MAX, blank=True, default="")
    mitigated_at = models.DateTimeField(null=True)
    mitigated_by = models.CharField(max_length=limits.NAME_CHARS_MAX, blank=True, default="")
    recovered_at = models.DateTimeField(null=True)
    # The start of the first 30 s with every objective met.
    fixed_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.CharField(max_length=limits.NAME_CHARS_MAX, blank=True, default="")
    # By name for the postmortem: a hand did something, or it went by itself.
    recovered_alone = models.BooleanField(default=False)

    alert_count = models.PositiveIntegerField(default=0)
    firing_count = models.PositiveIntegerField(default=0)
    requests_failed = models.PositiveBigIntegerField(null=True)
    requests_late = models.PositiveBigIntegerField(null=True)
    tenants = models.JSONField(default=list)
    # True: some acknowledged write is on fewer disks than a quorum; None: nobody could say.
    data_at_risk = models.BooleanField(null=True)
    impact_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="incident_state_known", condition=Q(state__in=[s.value for s in State])
            ),
            models.CheckConstraint(
                name="incident_resolved_has_time",
                condition=Q(state__in=_OPEN) | Q(resolved_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="incident_state_id"),
            models.Index(fields=["-opened_at"], name="incident_opened"),
        ]

    def __str__(self) -> str:
        return f"INC-{self.pk}"


class Alert(models.Model):
    """One alert in one incident. `fired_count` above 1: it flapped."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="alerts")
    key = models.CharField(max_length=limits.KEY_CHARS_MAX)
    source = models.CharField(max_length=40, default="holdfast")
    rule = models.CharField(max_length=limits.KEY_CHARS_MAX)
    tier = models.CharField(max_length=40, blank=True, default="")
    severity = models.CharField(max_length=8)
    headline = models.CharField(max_length=limits.HEADLINE_CHARS_MAX)
    labels = models.JSONField(default=dict)
    value = models.FloatField(null=True)
    is_firing = models.BooleanField(default=True)
    is_silenced = models.BooleanField(default=False)
    fired_count = models.PositiveIntegerField(default=1)
    started_at = models.DateTimeField()
    fired_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="alert_once_an_incident", fields=["incident", "key"])
        ]
        indexes = [models.Index(fields=["incident", "-is_firing", "-id"], name="alert_of_incident")]

    def __str__(self) -> str:
        return self.key


class TimelineRow(models.Model):
    """Something that happened. `kind` is one of KINDS; `run_id` where a run did it."""

    KINDS = ("alert", "finding", "run", "person", "note", "change", "page", "machine")

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="timeline")
    at = models.DateTimeField()
    kind = models.CharField(max_length=10)
    actor = models.CharField(max_length=limits.NAME_CHARS_MAX)
    text = models.TextField(max_length=limits.NOTE_CHARS_MAX)
    run_id = models.PositiveBigIntegerField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="timeline_kind_known",
                condition=Q(
                    kind__in=(
                        *("alert", "finding", "run", "person"),
                        *("note", "change", "page", "machine"),
                    )
                ),
            )
        ]
        indexes = [models.Index(fields=["incident", "-at", "-id"], name="timeline_of_incident")]

    def __str__(self) -> str:
        return f"{self.actor}: {self.text}"


class Escalation(models.Model):
    """Somebody asked for the next person of the chain; the watcher answers it once."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="escalations")
    by = models.CharField(max_length=limits.NAME_CHARS_MAX)
    at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, db_index=True)

    def __str__(self) -> str:
        return f"escalation {self.pk}"


class Silence(models.Model):
    """Alerts whose labels match all `matchers` page nobody until `until`."""

    matchers = models.JSONField()
    reason = models.CharField(max_length=limits.HEADLINE_CHARS_MAX)
    made_by = models.CharField(max_length=limits.NAME_CHARS_MAX)
    made_at = models.DateTimeField()
    until = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=limits.NAME_CHARS_MAX, blank=True, default="")
    incident = models.ForeignKey(
        Incident, null=True, on_delete=models.SET_NULL, related_name="silences"
    )

    def __str__(self) -> str:
        return f"silence {self.pk}"


class Webhook(models.Model):
    """What a foreign sender posted, as it came. The watcher takes the alerts out of it."""

    received_at = models.DateTimeField()
    sender = models.CharField(max_length=limits.NAME_CHARS_MAX)
    shape = models.CharField(max_length=20)  # alertmanager | grafana | unknown
    refusal = models.CharField(max_length=limits.HEADLINE_CHARS_MAX, blank=True, default="")
    body = models.TextField()
    taken_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["id"], name="webhook_waiting", condition=Q(taken_at=None, refusal="")
            )
        ]

    def __str__(self) -> str:
        return f"webhook {self.pk}"
