"""Print a link that signs one person in, once, within ten minutes.

The person who can run this owns the home directory, so this asks for no further proof, and is how
the first role is granted, or an admin found again.
"""

import re
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from console.accounts.actions import make_sign_in_link
from console.accounts.roles import WORDS, Role
from console.audit.actions import record
from runbooks.people import NAMES_OF_OURS

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@.+_-]{0,59}")


class Command(BaseCommand):
    help = "Print a one-time sign-in link for USER (made on their first link)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="sign-in name, 1 to 60 of letters, digits and @.+_-")
        parser.add_argument(
            "--role",
            choices=WORDS,
            help="grant this role (else: the first person is admin, others viewer or as they are)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user, word = options["user"], options["role"]
        if not NAME.fullmatch(user):
            raise CommandError(f"user {user!r}: 1 to 60 of letters, digits and @.+_- expected")
        if user.lower() in NAMES_OF_OURS:
            raise CommandError(f"user {user!r}: that name is of a part of Holdfast, choose another")
        role = Role.of_word(word) if word else None
        record(
            actor="terminal",
            action="make sign-in link",
            target=user,
            detail={"role": word} if word else None,
        )
        secret = make_sign_in_link(user, now=timezone.now(), role=role)
        self.stdout.write(f"{settings.PUBLIC_URL}/sign-in#{secret}")
