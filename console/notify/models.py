"""What was sent to whom, how it ended, and which acknowledge links were used."""

from __future__ import annotations

from django.db import models

from console.incidents.models import Incident

REASON_CHARS_MAX = 300
NAME_CHARS_MAX = 150


class Delivery(models.Model):
    """One message over one channel, with its outcome. `key` names the incident, or is "test"."""

    incident = models.ForeignKey(
        Incident, null=True, on_delete=models.SET_NULL, related_name="deliveries"
    )
    key = models.CharField(max_length=150)
    word = models.CharField(max_length=20)  # trigger | acknowledge | resolve | test | missed
    channel = models.CharField(max_length=20)
    is_delivered = models.BooleanField()
    reason = models.CharField(max_length=REASON_CHARS_MAX, blank=True, default="")
    attempt_count = models.PositiveSmallIntegerField()
    took_ms = models.PositiveIntegerField()
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["-at"], name="delivery_newest")]

    def __str__(self) -> str:
        return f"{self.word} by {self.channel}"


class ChainStep(models.Model):
    """One step of the chain was taken for an incident: the auditor's proof."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="chain")
    number = models.PositiveSmallIntegerField()
    person = models.CharField(max_length=NAME_CHARS_MAX, blank=True, default="")
    due_at = models.DateTimeField()
    taken_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="chain_step_once", fields=["incident", "number"])
        ]

    def __str__(self) -> str:
        return f"step {self.number}"


class SpentLink(models.Model):
    """An acknowledge link that was used; the row is what makes it good for one use."""

    nonce = models.CharField(max_length=40, unique=True)
    key = models.CharField(max_length=150)
    person = models.CharField(max_length=NAME_CHARS_MAX)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"acknowledge link of {self.person}"
