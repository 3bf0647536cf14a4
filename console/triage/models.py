"""What triage said, version by version, and how each judged drill marked it.

A diagnosis is never changed: when the answer changes, the next version is written, so that the
page can keep showing what somebody is reading. Incidents and runs are named by number, without a
foreign key: evidence of what was said outlives what it was said about. Invariant: at most one
diagnosis for (incident, version), and at most one verdict for a drill.
"""

from typing import ClassVar

from django.db import models

ENTITY_LENGTH_MAX = 120
KIND_LENGTH_MAX = 40
TEXT_LENGTH_MAX = 300


class Diagnosis(models.Model):
    """One version of the answer for one incident."""

    incident_id = models.BigIntegerField()
    version = models.PositiveIntegerField()
    made_ms = models.BigIntegerField()
    onset_ms = models.BigIntegerField(null=True)
    """When the signals began to move; None if no onset was found."""
    is_abstained = models.BooleanField()
    digest = models.CharField(max_length=64)
    """Of what the answer says; a new version is written only when this changes."""
    moved = models.JSONField(default=list)
    """What moved most, as evidence lines: all there is to show when triage abstains."""
    missing = models.JSONField(default=list)
    """Sources that did not answer: [{"source": ..., "reason": ...}]."""
    baselines = models.JSONField(default=dict)
    """What simpler rules would have said, {"rule": [entity, kind]}: shown beside our accuracy."""
    cpu_ms = models.FloatField(default=0.0)

    class Meta:
        ordering = ("-id",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=("incident_id", "version"), name="one_diagnosis_a_version"
            )
        ]

    def __str__(self) -> str:
        return f"diagnosis {self.version} of incident {self.incident_id}"


class Finding(models.Model):
    """One ranked claim of a diagnosis: this entity has this kind of trouble."""

    diagnosis = models.ForeignKey(Diagnosis, on_delete=models.CASCADE, related_name="findings")
    rank = models.PositiveSmallIntegerField()
    entity = models.CharField(max_length=ENTITY_LENGTH_MAX)
    kind = models.CharField(max_length=KIND_LENGTH_MAX)
    score = models.FloatField()
    """Orders the claims of one diagnosis. Not a probability: it was never calibrated."""
    headline = models.CharField(max_length=TEXT_LENGTH_MAX)
    body = models.JSONField(default=dict)
    """Evidence lines, stage bars, what speaks against, what would prove it wrong."""

    class Meta:
        ordering = ("diagnosis_id", "rank")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=("diagnosis", "rank"), name="one_finding_a_rank")
        ]

    def __str__(self) -> str:
        return f"{self.entity} {self.kind}"


class Look(models.Model):
    """When an incident is looked at again: evidence ripens, and a lost bell must not end it."""

    incident_id = models.BigIntegerField(unique=True)
    since_ms = models.BigIntegerField()
    """When the incident began, as far as the alert knows."""
    count = models.PositiveIntegerField(default=0)
    """Looks finished; also the guard of the compare-and-set."""
    due_ms = models.BigIntegerField(null=True, db_index=True)
    """None: looked at often enough."""

    def __str__(self) -> str:
        return f"look {self.count} at incident {self.incident_id}"


class JudgedDrill(models.Model):
    """How triage did in one drill whose fault and target were known."""

    run_id = models.BigIntegerField(unique=True)
    scenario = models.CharField(max_length=TEXT_LENGTH_MAX)
    truth_entity = models.CharField(max_length=ENTITY_LENGTH_MAX, blank=True)
    truth_kind = models.CharField(max_length=KIND_LENGTH_MAX, blank=True)
    """Both empty: a control, in which nothing was broken."""
    verdict = models.CharField(max_length=20)
    """One of `console.triage.accuracy.Verdict`."""
    incident_id = models.BigIntegerField(null=True)
    named_entity = models.CharField(max_length=ENTITY_LENGTH_MAX, blank=True)
    named_kind = models.CharField(max_length=KIND_LENGTH_MAX, blank=True)
    baselines = models.JSONField(default=dict)
    """Which simpler rules were right: {"rule": true}."""
    started_ms = models.BigIntegerField()
    ended_ms = models.BigIntegerField()
    detected_ms = models.BigIntegerField(null=True)
    named_ms = models.BigIntegerField(null=True)
    mitigated_ms = models.BigIntegerField(null=True)
    judged_ms = models.BigIntegerField()

    class Meta:
        ordering = ("-started_ms",)
        indexes: ClassVar = [models.Index(fields=("truth_kind", "started_ms"))]

    def __str__(self) -> str:
        return f"drill {self.run_id}: {self.verdict}"
