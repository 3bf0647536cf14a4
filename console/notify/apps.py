"""Notify as a Django application."""

from django.apps import AppConfig


class NotifyConfig(AppConfig):
    name = "console.notify"
    label = "notify"
