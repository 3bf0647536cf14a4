"""Making and spending secrets.

A link is spent by compare-and-set: two browsers with the same link race on one UPDATE, and the row
count says who won. Nothing here tells an unknown link from a used or an old one.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from console.accounts.models import EMAIL_CHARS_MAX, ApiToken, Person, SignInLink
from console.accounts.roles import Role
from console.accounts.scopes import Scope

SECRET_BYTES = 32
API_PREFIX = "hft_"


SLACK_ID = re.compile(r"[UW][A-Z0-9]{5,20}")


class NameTaken(Exception):
    """A token of this name exists; names are never used twice."""


class BadContact(Exception):
    """A way to reach somebody that can't be one: which field, and what is allowed."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected} expected")
        self.field = field
        self.expected = expected


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def make_sign_in_link(username: str, *, now: datetime, role: Role | None = None) -> str:
    """The secret of a fresh link for `username`, who is created on their first link.

    The first person of a console is its admin; who comes later may look until granted more.
    A `role` given is granted.
    """
    secret = secrets.token_urlsafe(SECRET_BYTES)
    with transaction.atomic():
        user = _person_called(username, role)
        SignInLink.objects.filter(expires_at__lt=now - settings.SIGN_IN_LINK_LIFETIME).delete()
        SignInLink.objects.create(
            user=user,
            secret_hash=hash_secret(secret),
            expires_at=now + settings.SIGN_IN_LINK_LIFETIME,
        )
    return secret


def spend_sign_in_link(secret: str, *, now: datetime) -> User | None:
    """The person the link was made for; None if it is unknown, used, expired or theirs no more."""
    link = SignInLink.objects.filter(secret_hash=hash_secret(secret))
    spent = link.filter(used_at=None, expires_at__gt=now, user__is_active=True).update(used_at=now)
    if spent != 1:
        return None
    return User.objects.get(signinlink__secret_hash=hash_secret(secret))


def _person_called(username: str, role: Role | None) -> User:
    is_first = not Person.objects.exists()
    user, created = User.objects.get_or_create(username=username)
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    least = Role.ADMIN if is_first else Role.VIEWER
    granted = (role or least).word
    person, is_new = Person.objects.get_or_create(user=user, defaults={"role": granted})
    if role is not None and not is_new:
        Person.objects.filter(pk=person.pk).update(role=granted)
    return user


def grant_role(username: str, role: Role) -> bool:
    """Whether the person has the role now; the last admin keeps theirs."""
    with transaction.atomic():
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            return False
        others = Person.objects.filter(role=Role.ADMIN.word, user__is_active=True)
        if role is not Role.ADMIN and not others.exclude(user=user).exists():
            return False
        Person.objects.update_or_create(user=user, defaults={"role": role.word})
    return True


def set_contact(username: str, *, email: str, slack_id: str) -> None:
    """How pages reach this person; an empty text takes the way back. Raises BadContact."""
    if email:
        try:
            validate_email(email)
        except ValidationError as error:
            raise BadContact("Mail", "an address such as ada@example.org") from error
    if len(email) > EMAIL_CHARS_MAX:
        raise BadContact("Mail", f"at most {EMAIL_CHARS_MAX} characters")
    if slack_id and not SLACK_ID.fullmatch(slack_id):
        raise BadContact("Slack", "a member ID such as U024BE7LH")
    user = User.objects.get(username=username)
    Person.objects.update_or_create(user=user, defaults={"email": email, "slack_id": slack_id})


def make_api_token(
    name: str, *, scopes: Sequence[Scope], expires_at: datetime, made_by: str
) -> str:
    """The secret of a new token. Raises NameTaken."""
    assert scopes, "a token without a scope can do nothing"
    secret = API_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    try:
        with transaction.atomic():
            ApiToken.objects.create(
                name=name,
                secret_hash=hash_secret(secret),
                scopes=sorted(set(scopes)),
                expires_at=expires_at,
                made_by=made_by,
            )
    except IntegrityError as error:
        raise NameTaken(name) from error
    return secret


def revoke_api_token(name: str, *, now: datetime) -> bool:
    """Whether this call revoked it; a token is revoked once."""
    return ApiToken.objects.filter(name=name, revoked_at=None).update(revoked_at=now) == 1
