"""Print a link that signs one person in, once, within ten minutes.

The person who can run this owns the home directory, so this asks for no further proof.
"""

import re
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from console.accounts.actions import make_sign_in_link
from console.audit.actions import record

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@.+_-]{0,59}")


class Command(BaseCommand):
    help = "Print a one-time sign-in link for USER (made on their first link)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="sign-in name, 1 to 60 of letters, digits and @.+_-")

    def handle(self, *args: Any, **options: Any) -> None:
        user = options["user"]
        if not NAME.fullmatch(user):
            raise CommandError(f"user {user!r}: 1 to 60 of letters, digits and @.+_- expected")
        record(actor="terminal", action="make sign-in link", target=user)
        secret = make_sign_in_link(user, now=timezone.now())
        self.stdout.write(f"{settings.PUBLIC_URL}/sign-in#{secret}")
