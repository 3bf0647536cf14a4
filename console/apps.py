"""The console as a Django application. Loading it makes its Celery application the current one,
so that whoever rings for a run from a page rings on our broker."""

from django.apps import AppConfig

from console.celery import app as celery_app


class ConsoleConfig(AppConfig):
    name = "console"
    verbose_name = "Console"

    def ready(self) -> None:
        celery_app.set_default()
