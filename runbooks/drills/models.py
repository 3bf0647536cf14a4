"""A drill's row: what was done, which answer was right, what came of it.

The run beside it is the act; this is the result. A drill has its run's number. Histories are files
(`drills.folder`), because they are large and must be on disk while the drill is under way.
"""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models import Q

from runbooks.drills import limits


class DrillVerdict(StrEnum):
    """What a drill proved. Empty in the table while it is under way."""

    PASSED = "passed"
    SLOW = "slow"  # nothing was lost, but it took longer than its target
    VIOLATED = "violated"  # clients saw what no single copy of the data could have shown
    LOST = "lost"  # acknowledged writes are missing
    UNDECIDED = "undecided"
    ABORTED = "aborted"
    REFUSED = "refused"  # a guard said no before anything was broken


class Drill(models.Model):
    """Times are aware UTC; `faulted_at` and `healed_at` frame the fault."""

    run = models.OneToOneField(
        "runbooks.Run", on_delete=models.CASCADE, primary_key=True, related_name="drill"
    )
    scenario = models.CharField(max_length=40)
    seed = models.BigIntegerField()
    actor = models.CharField(max_length=150)
    created_at = models.DateTimeField()

    verdict = models.CharField(max_length=12, blank=True, default="")
    reason = models.CharField(max_length=limits.REASON_CHARS_MAX, blank=True, default="")
    faulted_at = models.DateTimeField(null=True)
    healed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # The right answer: entity and kind, as findings name them. Never read while diagnosing.
    truth_entity = models.CharField(max_length=100, blank=True, default="")
    truth_kind = models.CharField(max_length=40, blank=True, default="")

    numbers = models.JSONField(default=dict)
    guards = models.JSONField(default=list)
    # The alerting and diagnosing side: None where nobody has looked yet.
    was_judged = models.BooleanField(null=True)
    triage = models.CharField(max_length=8, blank=True, default="")
    triage_said = models.CharField(max_length=200, blank=True, default="")
    response = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="drill_verdict_known",
                condition=Q(verdict="") | Q(verdict__in=[v.value for v in DrillVerdict]),
            ),
            models.CheckConstraint(
                name="drill_verdict_has_time",
                condition=Q(verdict="", finished_at__isnull=True)
                | (~Q(verdict="") & Q(finished_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="drill_triage_known", condition=Q(triage__in=["", "hit", "miss"])
            ),
        ]
        indexes = [models.Index(name="drill_scenario", fields=["scenario", "-created_at"])]

    def __str__(self) -> str:
        return f"drill {self.pk}: {self.scenario} ({self.verdict or 'under way'})"
