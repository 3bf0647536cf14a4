"""Who is asking, who there is, and whom to ask for more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from console.accounts.actions import hash_secret
from console.accounts.models import ApiToken
from console.accounts.scopes import SCOPES, Scope

GRANTORS_SHOWN = 2
NOBODY = "whoever runs the console"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """A token that works now."""

    name: str
    scopes: frozenset[Scope]


def bearer(request: HttpRequest, *, now: datetime | None = None) -> Bearer | None:
    """The token of the Authorization header; None if there is none that works."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        return None
    now = now or timezone.now()
    token = ApiToken.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=now),
        secret_hash=hash_secret(secret.strip()),
        revoked_at=None,
    ).first()
    if token is None:
        return None
    return Bearer(
        name=token.name,
        scopes=frozenset(Scope(word) for word in token.scopes if word in SCOPES),
    )


def api_tokens() -> Sequence[ApiToken]:
    return list(ApiToken.objects.order_by("name"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow:
    """`email` and `slack_id`: how pages reach them, empty where nobody said."""

    username: str
    role: str
    email: str
    slack_id: str


def people() -> Sequence[PersonRow]:
    """Everybody who may sign in, by name."""
    users = User.objects.filter(is_active=True).order_by("username")
    rows = users.values_list("username", "person__role", "person__email", "person__slack_id")
    return [
        PersonRow(username=name, role=role or "viewer", email=email or "", slack_id=slack_id or "")
        for name, role, email, slack_id in rows
    ]


def grantors() -> Sequence[str]:
    """Names of at most two people who can grant a role; who made the console, if there is none."""
    admins = User.objects.filter(is_active=True, person__role="admin").order_by("pk")
    return list(admins.values_list("username", flat=True)[:GRANTORS_SHOWN]) or [NOBODY]
