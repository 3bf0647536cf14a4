"""Print a bearer token for the API, once; only its hash is kept."""

import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from console.accounts.actions import NameTaken, make_api_token
from console.audit.actions import record

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


class Command(BaseCommand):
    help = "Print a new API token called NAME. It is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="1 to 60 of letters, digits and ._-")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        if not NAME.fullmatch(name):
            raise CommandError(f"name {name!r}: 1 to 60 of letters, digits and ._- expected")
        record(actor="terminal", action="make API token", target=name)
        try:
            self.stdout.write(make_api_token(name))
        except NameTaken as error:
            raise CommandError(f"name {name!r}: a token of this name exists") from error
