"""Print a bearer token for the API, once; only its hash is kept."""

import re
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from console.accounts.actions import NameTaken, make_api_token
from console.accounts.limits import TOKEN_DAYS, TOKEN_DAYS_MAX
from console.accounts.scopes import SCOPES, Scope
from console.audit.actions import record

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


class Command(BaseCommand):
    help = "Print a new API token called NAME. It is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="1 to 60 of letters, digits and ._-")
        parser.add_argument(
            "--scope",
            action="append",
            choices=SCOPES,
            help="what it may do; may be given again (default: read)",
        )
        parser.add_argument(
            "--expires",
            type=int,
            default=TOKEN_DAYS,
            metavar="DAYS",
            help=f"days until it ends, 1 to {TOKEN_DAYS_MAX} (default {TOKEN_DAYS})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name, days = options["name"], options["expires"]
        scopes = [Scope(word) for word in options["scope"] or [Scope.READ]]
        if not NAME.fullmatch(name):
            raise CommandError(f"name {name!r}: 1 to 60 of letters, digits and ._- expected")
        if not 1 <= days <= TOKEN_DAYS_MAX:
            raise CommandError(f"expires {days}: 1 to {TOKEN_DAYS_MAX} days expected")
        record(
            actor="terminal",
            action="make API token",
            target=name,
            detail={"scopes": " ".join(scopes), "days": days},
        )
        expires_at = timezone.now() + timedelta(days=days)
        try:
            secret = make_api_token(name, scopes=scopes, expires_at=expires_at, made_by="terminal")
        except NameTaken as error:
            raise CommandError(f"name {name!r}: a token of this name exists") from error
        self.stdout.write(secret)
