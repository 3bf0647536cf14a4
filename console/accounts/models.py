"""People, and the secrets by which they and their programs come in.

Secrets are kept as SHA-256 only: whoever reads the database can't sign in with it. They are 256
random bits, so a slow hash would add nothing.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

EMAIL_CHARS_MAX = 254
SLACK_ID_CHARS_MAX = 40
TOKEN_NAME_CHARS_MAX = 60
ROLES = ("viewer", "responder", "lead", "admin")


class Person(models.Model):
    """What the console knows of somebody beside their name: what they may do, how to reach them."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="person"
    )
    role = models.CharField(max_length=12, choices=[(word, word) for word in ROLES])
    email = models.CharField(max_length=EMAIL_CHARS_MAX, blank=True, default="")
    slack_id = models.CharField(max_length=SLACK_ID_CHARS_MAX, blank=True, default="")
    tour = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="person_role_known", condition=Q(role__in=ROLES)),
        ]

    def __str__(self) -> str:
        return f"person {self.user_id} ({self.role})"


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
    """A program's right to use the API: what its scopes say, until it expires or is revoked.

    Revoked by name, never shown again. `expires_at` is null for tokens older than expiry.
    """

    name = models.CharField(max_length=TOKEN_NAME_CHARS_MAX, unique=True)
    secret_hash = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    made_by = models.CharField(max_length=150, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name
