"""Requests by the minute: what budgets of thirty days are computed from after a restart.

The watcher writes a minute once, after it is over, and never changes it. Rows older than the
longest window are deleted, so the table holds at most 31 days of minutes for each objective.
"""

from django.db import models

KEPT_DAYS = 31


class SloMinute(models.Model):
    """`minute` is Unix time // 60. `drill_bad` of the `bad` requests were caused by drills."""

    objective = models.CharField(max_length=40)
    minute = models.PositiveIntegerField()
    requests = models.PositiveIntegerField()
    bad = models.PositiveIntegerField()
    drill_bad = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="slo_minute_once", fields=["minute", "objective"]),
        ]

    def __str__(self) -> str:
        return f"{self.objective} at {self.minute}: {self.bad} of {self.requests}"
