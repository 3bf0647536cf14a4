"""Triage as a Django application."""

from django.apps import AppConfig


class TriageConfig(AppConfig):
    name = "console.triage"
    label = "triage"
