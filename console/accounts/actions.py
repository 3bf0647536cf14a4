"""Making and spending secrets.

A link is spent by compare-and-set: two browsers with the same link race on one UPDATE, and the row
count says who won. Nothing here tells an unknown link from a used or an old one.
"""

import hashlib
import secrets
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from console.accounts.models import ApiToken, SignInLink

SECRET_BYTES = 32
API_PREFIX = "hft_"


class NameTaken(Exception):
    """A token of this name exists; names are never used twice."""


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def make_sign_in_link(username: str, *, now: datetime) -> str:
    """The secret of a fresh link for `username`, who is created on their first link."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    with transaction.atomic():
        user, created = User.objects.get_or_create(username=username)
        if created:
            user.set_unusable_password()
            user.save(update_fields=["password"])
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


def make_api_token(name: str) -> str:
    secret = API_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    try:
        ApiToken.objects.create(name=name, secret_hash=hash_secret(secret))
    except IntegrityError as error:
        raise NameTaken(name) from error
    return secret
