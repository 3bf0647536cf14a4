"""Examine the audit trail: is every row there that ever was, as it was? And take it elsewhere.

`verify` exits with 0 if it is whole, with 1 if rows were changed, removed, added or moved, and says
which. `--anchor` compares with a head that was noted elsewhere (the log of web has a line
"audit head ID:HASH" per row).
`export` prints a JSON object a line, oldest first, with the hashes: whoever keeps the lines can
check the chain without us. `--after` goes on where an earlier export ended.
"""

import json
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from console.audit.chain import Examined, Head
from console.audit.queries import exported, verify

ANCHOR = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")
EXIT_BROKEN = 1


class Command(BaseCommand):
    help = "Verify the chain of audit rows, or export them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["verify", "export"])
        parser.add_argument(
            "--after", type=int, default=0, metavar="ROW", help="of export: rows behind this one"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--anchor",
            action="append",
            default=[],
            metavar="ID:HASH",
            help="a head that was noted outside; may be given again",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["what"] == "export":
            for row in exported(options["after"]):
                self.stdout.write(json.dumps(row, ensure_ascii=False))
            return
        examined = verify([self._head(text) for text in options["anchor"]])
        if options["json"]:
            self.stdout.write(json.dumps(as_json(examined)))
        else:
            for line in lines(examined):
                self.stdout.write(line)
        if not examined.is_whole:
            raise SystemExit(EXIT_BROKEN)

    def _head(self, text: str) -> Head:
        parts = ANCHOR.fullmatch(text)
        if parts is None:
            raise CommandError(f"anchor {text[:80]!r}: a row's number, a colon, 64 hex digits")
        return Head(id=int(parts[1]), hash=parts[2])


def lines(examined: Examined) -> list[str]:
    head = f", head {examined.last.id}:{examined.last.hash}" if examined.last else ""
    late = f"; {examined.unanchored} younger than the head file" if examined.unanchored else ""
    if examined.is_whole:
        return [f"whole: {examined.rows} rows{late}{head}"]
    troubles = [f"row {each.row} {each.text}" for each in examined.troubles]
    return [f"broken: {len(troubles)} findings in {examined.rows} rows", *troubles]


def as_json(examined: Examined) -> dict[str, object]:
    return {
        "whole": examined.is_whole,
        "rows": examined.rows,
        "head": f"{examined.last.id}:{examined.last.hash}" if examined.last else None,
        "unanchored": examined.unanchored,
        "troubles": [{"row": each.row, "text": each.text} for each in examined.troubles],
    }
