"""`manage.py drill run|list|show|stop`: drills from a terminal and in pipelines.

The worker of the running fleet does the work; this only starts it, waits and prints. Exit codes:
0 passed, 1 violated or writes lost, 2 wrong use, 3 undecided, 4 refused by a guard, 5 aborted,
6 too slow, 7 no verdict in time, 8 no database.
"""

import json
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from console.audit.actions import record
from console.drills import export, series, words
from runbooks.drills import actions, queries
from runbooks.drills.errors import GuardsFailed, NotRunning
from runbooks.drills.models import Drill
from runbooks.drills.queries import DrillRow
from runbooks.drills.scenarios import SCENARIOS
from runbooks.errors import RunError

ACTOR = "terminal"
POLL_S = 0.5
WAIT_S_MAX = 300.0
LISTED = 20
TIMES_MAX = 100
BETWEEN_S_MAX = 180.0

EXIT_CODES = {
    "passed": 0,
    "violated": 1,
    "lost": 1,
    "undecided": 3,
    "refused": 4,
    "aborted": 5,
    "slow": 6,
}
EXIT_NO_VERDICT = 7
EXIT_NO_DATABASE = 8


class Command(BaseCommand):
    help = "Break the fleet on purpose and print what was proved."

    def add_arguments(self, parser: CommandParser) -> None:
        kinds = parser.add_subparsers(dest="deed", required=True)
        run = kinds.add_parser("run", help="start a drill")
        run.add_argument("scenario", choices=sorted(SCENARIOS), metavar="SCENARIO")
        run.add_argument("--seed", type=int, help="repeats the same draw of keys and pace")
        run.add_argument(
            "--param",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="hold_s=240: how long the fault stands, in seconds",
        )
        run.add_argument("--times", type=int, default=1, help="so many in a row, 1 to 100")
        run.add_argument("--json", action="store_true", help="print the result as JSON")
        run.add_argument("--wait", action="store_true", help="the default; --no-wait leaves it")
        run.add_argument("--no-wait", dest="leave", action="store_true", help="don't wait")
        listing = kinds.add_parser("list", help="the newest drills and all scenarios")
        listing.add_argument("--json", action="store_true")
        show = kinds.add_parser("show", help="one drill")
        show.add_argument("drill", type=int)
        show.add_argument("--json", action="store_true")
        stop = kinds.add_parser("stop", help="end the drill under way")
        stop.add_argument("drill", type=int, nargs="?")

    def handle(self, *args: Any, **options: Any) -> None:
        deeds = {"run": self._run, "list": self._list, "show": self._show, "stop": self._stop}
        try:
            code = deeds[options["deed"]](options)
        except DatabaseError as error:
            told = f"the console's database can't be used ({error}); manage.py up makes it whole"
            raise CommandError(told, returncode=EXIT_NO_DATABASE) from error
        if code:
            sys.exit(code)

    def _run(self, options: dict[str, Any]) -> int:
        if options["times"] != 1:
            return self._series(options)
        scenario = options["scenario"]
        hold_s = _hold_s(options["param"])
        record(actor=ACTOR, action="start drill", target=scenario)
        try:
            drill = actions.start(scenario, actor=ACTOR, seed=options["seed"], hold_s=hold_s)
        except GuardsFailed as error:
            for guard in error.guards:
                mark = "passed" if guard.passed else "FAILED"
                self.stderr.write(f"  {mark}  {guard.name}: {guard.text}")
            return EXIT_CODES["refused"]
        except RunError as error:
            raise CommandError(str(error), returncode=4 if error.status == 409 else 2) from error
        if not options["json"]:
            self.stdout.write(f"drill {drill.pk}: {settings.PUBLIC_URL}/drills/{drill.pk}")
        if options["leave"]:
            return 0
        found = self._wait(drill.pk, WAIT_S_MAX + (hold_s or 0.0))
        self._print(found, as_json=options["json"])
        return EXIT_CODES.get(found.verdict, EXIT_NO_VERDICT)

    def _series(self, options: dict[str, Any]) -> int:
        """One after the other, each when its guards let it; the first bad exit code counts."""
        times, hold_s = options["times"], _hold_s(options["param"])
        if not 1 <= times <= TIMES_MAX:
            raise CommandError(f"times is {times}; expected 1 to {TIMES_MAX}", returncode=2)
        if options["json"] or options["leave"]:
            raise CommandError("--times takes neither --json nor --no-wait", returncode=2)
        found: list[DrillRow] = []
        for number in range(1, times + 1):
            record(actor=ACTOR, action="start drill", target=options["scenario"])
            drill = _when_allowed(options["scenario"], hold_s, options["seed"])
            found.append(self._wait(drill.pk, WAIT_S_MAX + (hold_s or 0.0)))
            self.stdout.write(series.line(found[-1], number, times))
            self.stdout.flush()
        for line in series.summary(found):
            self.stdout.write(line)
        codes = [EXIT_CODES.get(row.verdict, EXIT_NO_VERDICT) for row in found]
        return next((code for code in codes if code), 0)

    def _wait(self, drill_id: int, seconds: float) -> DrillRow:
        give_up_s = time.monotonic() + seconds
        found = queries.report(drill_id)
        while found.is_active and time.monotonic() < give_up_s:
            time.sleep(POLL_S)
            found = queries.report(drill_id)
        return found

    def _list(self, options: dict[str, Any]) -> int:
        drills = queries.recent(LISTED)
        if options["json"]:
            self.stdout.write(json.dumps([export.as_json(drill) for drill in drills], indent=1))
            return 0
        for drill in drills:
            core = words.recovery(words.part(words.part(drill.numbers, "rto"), "core"))
            self.stdout.write(
                f"{drill.id:>6}  {drill.created_at:%Y-%m-%d %H:%M:%S} UTC  {drill.scenario:<24}"
                f"{drill.verdict or 'under way':<12}RTO {core}"
            )
        self.stdout.write("scenarios:")
        for scenario in SCENARIOS.values():
            self.stdout.write(f"  {scenario.name:<24}{scenario.what}")
        return 0

    def _show(self, options: dict[str, Any]) -> int:
        try:
            found = queries.report(options["drill"])
        except RunError as error:
            raise CommandError(str(error), returncode=2) from error
        self._print(found, as_json=options["json"])
        return 0

    def _stop(self, options: dict[str, Any]) -> int:
        active = queries.active()
        number = options["drill"] or (active.id if active is not None else None)
        if number is None:
            raise CommandError("no drill is under way", returncode=2)
        record(actor=ACTOR, action="stop drill", target=str(number))
        try:
            actions.stop(number, actor=ACTOR)
        except NotRunning as error:
            self.stdout.write(f"{error}; there is nothing left to stop")
            return 0
        except RunError as error:
            raise CommandError(str(error), returncode=2) from error
        self.stdout.write(f"drill {number} was asked to stop")
        return 0

    def _print(self, drill: DrillRow, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(export.as_json(drill), indent=1))
            return
        for line in words.lines(drill):
            self.stdout.write(line)


def _when_allowed(scenario: str, hold_s: float | None, seed: int | None) -> Drill:
    """The next of a series: the fleet, and the incident of the one before, get time to end."""
    give_up_s = time.monotonic() + BETWEEN_S_MAX
    while True:
        try:
            return actions.start(scenario, actor=ACTOR, seed=seed, hold_s=hold_s)
        except RunError as error:
            if error.status != 409 or time.monotonic() > give_up_s:
                raise CommandError(str(error), returncode=4) from error
        time.sleep(POLL_S)


def _hold_s(params: list[str]) -> float | None:
    """The one parameter that there is; None leaves it to the scenario."""
    found = None
    for param in params:
        name, _, value = param.partition("=")
        if name != "hold_s":
            raise CommandError(f"--param {name}: expected hold_s=SECONDS", returncode=2)
        try:
            found = float(value)
        except ValueError:
            raise CommandError(f"hold_s is {value!r}; expected seconds", returncode=2) from None
    return found
