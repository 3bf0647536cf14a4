"""The Celery application: a bell, never a book.

A task carries ids only; the run's row is the truth. The broker is the embedded Valkey on a Unix
socket under the home directory, and only JSON is accepted from it.
"""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

# A ring that is not answered by then is lost; the reaper rings again from the table.
VISIBILITY_TIMEOUT_S = 3600

app = Celery("holdfast")
app.conf.update(
    broker_url=f"redis+socket://{settings.BROKER_SOCKET.resolve()}",
    broker_transport_options={"visibility_timeout": VISIBILITY_TIMEOUT_S},
    broker_connection_retry_on_startup=True,
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    result_accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=True,
    task_default_queue="runs",
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    enable_utc=True,
)
app.autodiscover_tasks(["runbooks", "console.triage"])
