"""Capture a profile from a terminal: start a run, wait for it, print what it found."""

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from console.audit.actions import record
from console.evidence_reads import evidence
from console.live.observatory import SourceSilent
from console.profiles.stacks import function_rows
from runbooks import actions
from runbooks.errors import RunError
from runbooks.queries import RunDetail, run_detail

POLL_S = 0.5
TOP_FUNCTIONS = 10
ACTOR = "terminal"


class Command(BaseCommand):
    help = "Capture a profile of TARGET (a process such as node-1) and print its top functions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target", help="name of a process, such as node-1 or web")
        parser.add_argument("--seconds", type=int, default=10, help="length, 1 to 60 (default 10)")
        parser.add_argument("--rate", type=int, default=100, help="samples a second, 1 to 200")
        parser.add_argument("--wait", action="store_true", help="wait for the result")

    def handle(self, *args: Any, **options: Any) -> None:
        target = options["target"]
        params = {"seconds": options["seconds"], "rate_hz": options["rate"]}
        record(actor=ACTOR, action="start profile", target=target)
        try:
            run = actions.start("capture-profile", target, params, actor=ACTOR)
        except RunError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"run {run.pk}: {settings.PUBLIC_URL}{reverse('run', args=[run.pk])}")
        if options["wait"]:
            self._finish(self._wait(run.pk))

    def _wait(self, run_id: int) -> RunDetail:
        """Until the run ends; its own deadline makes sure that it does while a watcher lives."""
        detail = run_detail(run_id)
        deadline_s = detail.run.deadline.timestamp() + POLL_S
        while detail.run.is_active:
            if time.time() > deadline_s:
                raise CommandError(
                    f"run {run_id} is past its deadline and still {detail.run.state}"
                )
            time.sleep(POLL_S)
            detail = run_detail(run_id)
        return detail

    def _finish(self, detail: RunDetail) -> None:
        run = detail.run
        if run.state != "done":
            raise CommandError(f"run {run.id} {run.state}: {run.reason}")
        profile_id = str(run.outcome.get("profile_id", ""))
        self.stdout.write(f"{settings.PUBLIC_URL}{reverse('profile', args=[profile_id])}")
        try:
            profile = evidence.profile(profile_id)
        except SourceSilent as error:
            raise CommandError(f"the profile is stored, but can't be read: {error}") from error
        if profile is None:
            raise CommandError(f"telemetry has no profile {profile_id}")
        for row in function_rows(profile.collapsed, TOP_FUNCTIONS):
            self.stdout.write(f"{row.own_percent:5.1f} %  {row.name}")
