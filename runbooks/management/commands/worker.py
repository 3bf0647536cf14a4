"""`manage.py worker`: the Celery worker with the settings that our runs rely on.

Three processes, one message each: a worker that dies takes at most three attempts with it; their
leases tell. No gossip, mingle or remote control: workers know each other only through the journal.
While the broker is away the worker keeps trying; its heartbeat says so.
"""

from __future__ import annotations

import logging
import os
from argparse import ArgumentParser
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand

from runbooks import bell, limits, worker_stop, worker_trace
from runbooks.worker_beat import BeatStep

CONCURRENCY_DEFAULT = 3
"""One for a drill, for minutes; one for a runbook that waits; a diagnosis waits for neither."""


class Command(BaseCommand):
    help = "Perform the steps of runs, as the bell rings."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--concurrency", type=int, default=CONCURRENCY_DEFAULT)
        parser.add_argument(
            "--queues", default=",".join((bell.RUNS_QUEUE, bell.TRIAGE_QUEUE, bell.HOST_QUEUE))
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        # The checks load every page of the console, which this process never serves.
        os.environ["CELERY_SKIP_CHECKS"] = "1"
        current_app.conf.update(
            broker_connection_retry_on_startup=True,
            broker_connection_max_retries=None,
            task_acks_late=True,
            task_soft_time_limit=limits.TASK_SOFT_LIMIT_S,
            task_time_limit=limits.TASK_HARD_LIMIT_S,
            worker_prefetch_multiplier=1,
            worker_enable_remote_control=False,
            worker_cancel_long_running_tasks_on_connection_loss=False,
        )
        current_app.steps["consumer"].add(BeatStep)
        worker_trace.connect()
        worker_stop.connect()
        worker = current_app.Worker(
            concurrency=options["concurrency"],
            pool="prefork",
            queues=options["queues"].split(","),
            optimization="fair",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            loglevel=logging.WARNING,
            quiet=True,
        )
        worker.start()
        raise SystemExit(worker.exitcode or 0)
