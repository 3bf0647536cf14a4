"""Who a session belongs to, read with what they may do in the same query.

It authenticates nobody: the only way in is a sign-in link, spent in `actions`.
"""

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import User


class LinkBackend(BaseBackend):
    def get_user(self, user_id: int) -> User | None:
        """None for who is unknown or shut out, whatever their session says."""
        return User.objects.select_related("person").filter(pk=user_id, is_active=True).first()
