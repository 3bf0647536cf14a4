"""What was told: one row for each alert, from when it fired until it ended.

The watcher decides in memory and writes here afterwards, so a row may be late but is never what a
decision rests on. At most one row of a key has not ended; the database holds that rule.
"""

from django.db import models
from django.db.models import Q

HEADLINE_CHARS_MAX = 200
KEPT_MAX = 20_000
"""Ended alerts beyond this many are deleted, oldest first."""


class Alert(models.Model):
    """`value` is what the headline counts, None where there is none."""

    key = models.CharField(max_length=100)
    rule = models.CharField(max_length=60)
    tier = models.CharField(max_length=20)
    severity = models.CharField(max_length=10)
    headline = models.CharField(max_length=HEADLINE_CHARS_MAX)
    labels = models.JSONField(default=dict)
    value = models.FloatField(null=True)
    started_at = models.DateTimeField()
    told_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="alert_one_open_of_a_key", fields=["key"], condition=Q(ended_at__isnull=True)
            ),
        ]
        indexes = [
            models.Index(name="alert_newest", fields=["-told_at"]),
            models.Index(name="alert_key", fields=["key", "-told_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.headline}"
