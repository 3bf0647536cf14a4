"""On call as a Django application."""

from django.apps import AppConfig


class OncallConfig(AppConfig):
    name = "console.oncall"
    label = "oncall"
