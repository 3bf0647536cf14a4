"""The Django application `runbooks`."""

from django.apps import AppConfig


class RunbooksConfig(AppConfig):
    name = "runbooks"
    label = "runbooks"
    verbose_name = "Runs"
    default_auto_field = "django.db.models.BigAutoField"
