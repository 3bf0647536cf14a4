"""The schedule as facts: one rotation with its seats in order, and overrides.

Who is on call at a moment is computed (`schedule`), never stored, so that no job has to run at the
hour of a hand-over.
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from console.oncall.limits import TURN_DAYS_MAX


class Rotation(models.Model):
    """Turns of `turn_days` from `starts_at` on, seat after seat. There is at most one row."""

    starts_at = models.DateTimeField()
    turn_days = models.PositiveSmallIntegerField(default=7)

    class Meta:
        constraints = [
            models.CheckConstraint(name="rotation_only_one", condition=Q(id=1)),
            models.CheckConstraint(
                name="rotation_turn_bounded",
                condition=Q(turn_days__gte=1, turn_days__lte=TURN_DAYS_MAX),
            ),
        ]

    def __str__(self) -> str:
        return f"rotation of {self.turn_days} days"


class Seat(models.Model):
    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, related_name="seats")
    position = models.PositiveSmallIntegerField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(name="seat_position_once", fields=["rotation", "position"]),
        ]

    def __str__(self) -> str:
        return f"seat {self.position}"


class Override(models.Model):
    """`user` instead of the rotation from `starts_at` until `ends_at`. The newest one holds."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(db_index=True)
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["starts_at", "id"]
        constraints = [
            models.CheckConstraint(
                name="override_ends_later", condition=Q(ends_at__gt=F("starts_at"))
            ),
        ]

    def __str__(self) -> str:
        return f"override {self.pk}"
