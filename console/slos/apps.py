"""Objectives as a Django application."""

from django.apps import AppConfig


class SlosConfig(AppConfig):
    name = "console.slos"
    label = "slos"
