"""`manage.py watcher`: expired leases, passed deadlines, lost bells; one look a second.

It needs no worker and no broker to do its part, and no disk to page: what it logs is written by a
thread of its own. Further duties (alerts, schedules) come from
applications named in the setting WATCHER_DUTIES: dotted paths of `runbooks.watch.Duty` values.
"""

from __future__ import annotations

import logging
import signal
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections
from django.utils.module_loading import import_string

from runbooks import actions, clock, heartbeat, library, log_thread, tasks
from runbooks.watch import Duty, Watch

logger = logging.getLogger(__name__)

LAST_LINES_S = 1.0
_remembered: set[str] = set()


class Command(BaseCommand):
    help = "Watch over runs: reap expired leases, end overdue runs, ring lost bells again."
    # The watcher starts before the database is migrated, and waits for it.
    requires_system_checks = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        lines = log_thread.take_over(logging.getLogger())
        run_folder = settings.HOLDFAST.run

        def beat(now_ms: int, note: str) -> None:
            heartbeat.beat(run_folder, heartbeat.WATCHER, note=note, now_ms=now_ms)

        watch = Watch(duties(), beat=beat, now_ms=clock.now_ms, monotonic_s=time.monotonic)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: watch.stop())
        logger.warning("the watcher is on duty")
        watch.run()
        logger.warning("the watcher was told to stop")
        lines.stop(LAST_LINES_S)


def duties() -> list[Duty]:
    """Ours first, then those that other applications add."""
    added = [import_string(path) for path in getattr(settings, "WATCHER_DUTIES", ())]
    return [Duty(name="runs", every_s=1.0, work=_look_after_runs), *added]


def remember_runbooks(now_ms: int) -> None:
    """Keep each text that comes into force, so that the edit after it may break without loss."""
    books = library.all()
    hashes = {book.content_hash for book in books}
    if not hashes <= _remembered:
        actions.remember(books, now_ms=now_ms)
        _remembered.update(hashes)


def _look_after_runs(now_ms: int) -> str:
    # A connection that broke, or whose file was replaced, is dropped here and opened afresh.
    close_old_connections()
    remember_runbooks(now_ms)
    touched = tasks.resume_stalled(now_ms=now_ms)
    return f"{touched} runs looked after" if touched else ""
