"""Incidents from a terminal and in pipelines.

Exits with 0 when it was done, 1 when it was refused or, for `list`, an incident is open, and 2 for
a command that is wrong.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from console.api.incidents import incident_json, whole_json
from console.audit.actions import record
from console.incidents import actions, postmortem, queries
from console.incidents.errors import IncidentError
from console.incidents.queries import Filter

ACTOR = "terminal"
LISTED_MAX = 50
DEEDS: Mapping[str, Callable[[int, str], object]] = {
    "ack": lambda number, text: actions.acknowledge(number, actor=ACTOR),
    "mitigate": lambda number, text: actions.mitigate(number, actor=ACTOR),
    "resolve": lambda number, text: actions.resolve(number, actor=ACTOR),
    "escalate": lambda number, text: actions.escalate(number, actor=ACTOR),
    "note": lambda number, text: actions.note(number, actor=ACTOR, text=text),
}


class Command(BaseCommand):
    help = "List incidents, show one, act on it, or print its postmortem."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("do", choices=["list", "show", "postmortem", *DEEDS])
        parser.add_argument("number", nargs="?", help="of the incident: 42 or INC-42")
        parser.add_argument("text", nargs="?", default="", help="of a note")
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument("--all", action="store_true", help="list closed ones, too")

    def handle(self, *args: Any, **options: Any) -> None:
        do = options["do"]
        if do == "list":
            self._list(as_json=options["json"], closed=options["all"])
            return
        number = (options["number"] or "").upper().removeprefix("INC-")
        if not number.isascii() or not number.isdigit():
            self._refuse(f"{do}: the number of an incident is needed, such as 42", 2)
        try:
            self._one(do, int(number), options["text"], as_json=options["json"])
        except IncidentError as error:
            self._refuse(str(error), 1)

    def _list(self, *, as_json: bool, closed: bool) -> None:
        rows, total = queries.listed(Filter(state="" if closed else "open"), size=LISTED_MAX)
        if as_json:
            self._print({"incidents": [incident_json(row) for row in rows], "total": total})
        else:
            for row in rows:
                cause = row.cause_headline or "cause unknown"
                who = row.owner or "nobody"
                self.stdout.write(f"{row.name:8} {row.state:12} {row.headline} ({cause}; {who})")
            self.stdout.write(f"{total} in all" if closed else f"{total} open")
        if any(row.is_open for row in rows):
            sys.exit(1)

    def _one(self, do: str, number: int, text: str, *, as_json: bool) -> None:
        if do in DEEDS:
            record(actor=ACTOR, action=f"{do} incident", target=f"INC-{number}")
            DEEDS[do](number, text)
        if do == "postmortem":
            self.stdout.write(postmortem.of(number))
            return
        found = whole_json(number)
        if as_json:
            self._print(found)
            return
        row = queries.get(number)
        cause = row.cause_headline or "unknown"
        self.stdout.write(f"{row.name} {row.headline}: {row.state}, owner {row.owner or 'nobody'}")
        self.stdout.write(f"likely cause: {cause}; {settings.PUBLIC_URL}/incidents/{number}")
        for line in found["timeline"]:
            self.stdout.write(f"{line['at'][11:19]} {line['actor']}: {line['text']}")

    def _print(self, found: Mapping[str, Any]) -> None:
        self.stdout.write(json.dumps(found, indent=2))

    def _refuse(self, sentence: str, code: int) -> None:
        self.stderr.write(sentence)
        sys.exit(code)
