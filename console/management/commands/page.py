"""Paging from a terminal: send a test, or ask whether it works.

Exits with 0 if every channel took its message, 1 if one did not, 3 if no channel is set.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from console.audit.actions import record
from console.notify import actions
from console.notify.queries import paging

ACTOR = "terminal"
NO_CHANNEL = 3


class Command(BaseCommand):
    help = "Send a test page over every channel (test), or say whether paging works (status)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("do", choices=["test", "status"])
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        code = self._test(options["json"]) if options["do"] == "test" else self._status(options)
        if code:
            sys.exit(code)

    def _status(self, options: dict[str, Any]) -> int:
        standing = paging()
        if options["json"]:
            told = {"works": standing.state == "ok", "sentence": standing.sentence}
            self.stdout.write(json.dumps(told | {"channels": list(standing.channels)}))
        else:
            self.stdout.write(standing.sentence)
        return 0 if standing.state == "ok" else 1 if standing.channels else NO_CHANNEL

    def _test(self, as_json: bool) -> int:
        record(actor=ACTOR, action="test paging", target="paging")
        outcomes = actions.test(actor=ACTOR)
        if as_json:
            told = [
                {
                    "channel": each.channel,
                    "delivered": each.is_delivered,
                    "reason": each.reason,
                    "took_ms": each.took_ms,
                }
                for each in outcomes
            ]
            self.stdout.write(json.dumps({"outcomes": told}))
        for each in () if as_json else outcomes:
            end = f"taken in {each.took_ms} ms" if each.is_delivered else f"failed: {each.reason}"
            self.stdout.write(f"{each.channel}: {end}")
        if not outcomes:
            self.stderr.write("no channel is set; docs/guide/settings.md names them")
            return NO_CHANNEL
        return 0 if all(each.is_delivered for each in outcomes) else 1
