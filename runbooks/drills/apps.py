"""The Django application `drills`, apart from `runbooks` so that each has its own migrations."""

from django.apps import AppConfig


class DrillsConfig(AppConfig):
    name = "runbooks.drills"
    label = "drills"
    verbose_name = "Drills"
    default_auto_field = "django.db.models.BigAutoField"
