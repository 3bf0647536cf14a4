"""The audit trail: append-only, and the database itself refuses anything else.

Triggers abort every UPDATE and DELETE (see the migration), so that neither a bug nor the Django
shell can rewrite history without leaving the table's schema changed as proof.
"""

from django.db import models

ACTOR_LENGTH_MAX = 150
TARGET_LENGTH_MAX = 200


class AuditRow(models.Model):
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.CharField(max_length=ACTOR_LENGTH_MAX)
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=TARGET_LENGTH_MAX)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"
