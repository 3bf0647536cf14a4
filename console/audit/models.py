"""The audit trail: append-only, and the database itself refuses anything else.

Triggers abort every UPDATE and DELETE (see the migrations), so that neither a bug nor the Django
shell can rewrite history without leaving the table's schema changed as proof. Whoever removes the
triggers first still breaks the chain (`chain`).
"""

from django.db import models

ACTOR_LENGTH_MAX = 150
ACTION_LENGTH_MAX = 60
TARGET_LENGTH_MAX = 200
HASH_LENGTH = 64


class AuditRow(models.Model):
    """`id` counts from 1 without gaps; `via` is ui, api, cli or auto."""

    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=ACTOR_LENGTH_MAX)
    role = models.CharField(max_length=12, blank=True, default="")
    via = models.CharField(max_length=8, blank=True, default="")
    action = models.CharField(max_length=ACTION_LENGTH_MAX)
    target = models.CharField(max_length=TARGET_LENGTH_MAX)
    detail = models.JSONField(default=dict)
    trace_id = models.CharField(max_length=32, blank=True, default="")
    previous_hash = models.CharField(max_length=HASH_LENGTH, unique=True)
    hash = models.CharField(max_length=HASH_LENGTH)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"
