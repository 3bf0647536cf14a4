"""Secrets are kept as SHA-256 only: whoever reads the database can't sign in with it.

The secrets are 256 random bits, so a slow hash would add nothing.
"""

from django.conf import settings
from django.db import models


class SignInLink(models.Model):
    """Good for one person, once, for ten minutes."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    secret_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"sign-in link {self.pk}"


class ApiToken(models.Model):
    """A program's right to use the API. Revoked by name, never shown again."""

    name = models.CharField(max_length=60, unique=True)
    secret_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name
