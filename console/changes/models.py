"""Changes, and when each source was last heard from."""

from __future__ import annotations

from django.db import models

TITLE_CHARS_MAX = 200
NAME_CHARS_MAX = 150


class Change(models.Model):
    """`entity` is what changed (node-1, fleet, tenant:NAME); `detail` has before and after."""

    at = models.DateTimeField(db_index=True)
    source = models.CharField(max_length=40)
    kind = models.CharField(max_length=40)
    title = models.CharField(max_length=TITLE_CHARS_MAX)
    entity = models.CharField(max_length=NAME_CHARS_MAX, blank=True, default="")
    detail = models.JSONField(default=dict)
    actor = models.CharField(max_length=NAME_CHARS_MAX, blank=True, default="")
    is_drill = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.title


class Source(models.Model):
    """What a source last said, whole: the next look is compared with it."""

    name = models.CharField(max_length=40, primary_key=True)
    heard_at = models.DateTimeField()
    said = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.name
