"""Changes as a Django application."""

from django.apps import AppConfig


class ChangesConfig(AppConfig):
    name = "console.changes"
    label = "changes"
