"""First answers to requests that came with an Idempotency-Key, kept for a day."""

from django.db import models

from console.api.limits import KEY_CHARS_MAX


class FirstAnswer(models.Model):
    """Claimed before the deed; `status` is null until it is done.

    `request_hash` covers method, address and body: the same key with another request is an error
    of the program, and must not be answered with somebody else's success.
    """

    caller = models.CharField(max_length=150)
    key = models.CharField(max_length=KEY_CHARS_MAX)
    request_hash = models.CharField(max_length=64)
    claimed_at = models.DateTimeField(db_index=True)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(name="first_answer_key_once", fields=["caller", "key"]),
        ]

    def __str__(self) -> str:
        return f"answer to {self.caller} {self.key}"
