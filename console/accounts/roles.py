"""What a person may do, as one of four steps, each holding all below it.

A viewer sees everything. A responder acts: acknowledges, starts runs and drills, approves. A lead
decides: silences, sets who is on call, approves what asks for a lead. An admin says who is what,
makes tokens, and lets runbooks start by themselves.
Being on call makes a responder of whoever is less, for as long as the shift lasts.
"""

from datetime import datetime
from enum import IntEnum

from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from console.accounts.models import Person
from console.oncall.queries import is_on_call


class Role(IntEnum):
    VIEWER = 1
    RESPONDER = 2
    LEAD = 3
    ADMIN = 4

    @property
    def word(self) -> str:
        return self.name.lower()

    @classmethod
    def of_word(cls, word: str) -> "Role":
        """Raises KeyError for a word that is no role."""
        return cls[word.upper()]


WORDS = tuple(role.word for role in Role)


def own_role(user: User) -> Role:
    """What was granted to the person; whoever was granted nothing may look."""
    person: Person | None = getattr(user, "person", None)
    return Role.VIEWER if person is None else Role.of_word(person.role)


def role_of(user: User | AnonymousUser, *, now: datetime | None = None) -> Role | None:
    """The person's role at `now`, their shift counted in; None for a stranger or who is shut out.

    Costs no query for a user that the session brought, unless being on call could raise the role.
    """
    if not isinstance(user, User) or not user.is_active:
        return None
    own = own_role(user)
    if own < Role.RESPONDER and is_on_call(user.get_username(), now or timezone.now()):
        return Role.RESPONDER
    return own
