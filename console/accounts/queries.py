"""Who is asking?"""

from collections.abc import Sequence

from django.http import HttpRequest

from console.accounts.actions import hash_secret
from console.accounts.models import ApiToken


def bearer(request: HttpRequest) -> ApiToken | None:
    """The token of the Authorization header; None if there is none that works."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        return None
    return ApiToken.objects.filter(secret_hash=hash_secret(secret.strip()), revoked_at=None).first()


def api_tokens() -> Sequence[ApiToken]:
    return list(ApiToken.objects.order_by("name"))
