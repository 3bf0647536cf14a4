"""How objectives stand, for people and pipelines.

Exit codes: 0 every objective is met, 1 one is not, 2 the call or the objectives' file is wrong, 3
nobody can tell. `check` reads the file first, before the watcher does, and names its error.
"""

import json
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from console.slos.page import left_words, promise_of
from console.slos.queries import overview, status_of, worst_first
from console.slos.report import document
from console.slos.state import Overview
from telemetry.slo.objectives import ObjectivesError, load

MET, BURNING, WRONG, BLIND = 0, 1, 2, 3


class Command(BaseCommand):
    help = "List objectives, or check their file and whether they are met."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", choices=("list", "check"), default="list")
        parser.add_argument("--json", action="store_true", help="one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        found, wrong = overview(), ""
        if options["verb"] == "check":
            try:
                load(settings.HOLDFAST)
            except ObjectivesError as error:
                wrong = str(error)
        if options["json"]:
            said = document(found)
            if wrong:
                said["file"] = {"path": found.path, "version": found.digest, "error": wrong}
            self.stdout.write(json.dumps(said, indent=2))
        elif wrong:
            self.stderr.write(f"{wrong}\nWhat was in force before stays so.")
        else:
            self._print(found)
        code = WRONG if wrong else exit_code(found)
        if code:
            sys.exit(code)

    def _print(self, found: Overview) -> None:
        status = status_of(found)
        for row in worst_first(found.objectives):
            word = {True: "met", False: "NOT MET", None: "not seen"}[row.met]
            self.stdout.write(
                f"{word:9} {row.name:19} {left_words(row.left_percent):12} "
                f"burn {row.burn:5.2f}x  {promise_of(row)}"
            )
        for firing in found.firing:
            self.stdout.write(f"{firing.severity}: {firing.now}")
        if found.error:
            self.stdout.write(f"not in force: {found.error}")
        if status.reason:
            self.stdout.write(f"can't tell: {status.reason}")


def exit_code(found: Overview) -> int:
    """For pipelines."""
    met = status_of(found).met
    return BLIND if met is None else MET if met else BURNING
