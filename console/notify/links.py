"""Acknowledge links: one person, one incident, one use, 30 minutes.

A link is signed, not stored, since the watcher must be able to make one while the database stands
still; spending it is a row, which only one request can insert. Opening the link does nothing but
show a button: programs that look into mail open links, too.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from django.utils import timezone

from console.notify.models import SpentLink

LIFETIME = timedelta(minutes=30)
SALT = "holdfast.acknowledge"
TOKEN_CHARS_MAX = 600


class LinkRefused(Exception):
    """The link does nothing; the text says why, for the person who holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """`key` is the incident's."""

    key: str
    person: str
    nonce: str


def make(key: str, person: str) -> str:
    """The address; whoever holds it may acknowledge as that person, once."""
    nonce = secrets.token_urlsafe(12)
    token = signing.dumps([key, person, nonce], salt=SALT, compress=True)
    return f"{settings.PUBLIC_URL}/acknowledge/{token}"


def read(token: str) -> Link:
    """Raises LinkRefused for one that is not ours, too old, or spent."""
    if len(token) > TOKEN_CHARS_MAX:
        raise LinkRefused("This link isn't complete")
    try:
        key, person, nonce = signing.loads(token, salt=SALT, max_age=LIFETIME)
    except signing.SignatureExpired:
        raise LinkRefused("This link is over 30 minutes old") from None
    except (signing.BadSignature, ValueError, TypeError):
        raise LinkRefused("This link isn't complete, or not ours") from None
    if SpentLink.objects.filter(nonce=nonce).exists():
        raise LinkRefused("This link was used before; each works once")
    return Link(key=key, person=person, nonce=nonce)


def spend(link: Link) -> None:
    """Raises LinkRefused if another request was quicker."""
    try:
        with transaction.atomic():
            SpentLink.objects.create(
                nonce=link.nonce, key=link.key, person=link.person, at=timezone.now()
            )
    except IntegrityError:
        raise LinkRefused("This link was used before; each works once") from None
