"""What a token may do. A scope is a noun and `write`; `read` sees everything, `admin` may all."""

from collections.abc import Iterable
from enum import StrEnum

from console.accounts.roles import Role


class Scope(StrEnum):
    READ = "read"
    RUNS_WRITE = "runs:write"
    DRILLS_WRITE = "drills:write"
    INCIDENTS_WRITE = "incidents:write"
    CHANGES_WRITE = "changes:write"
    ALERTS_WRITE = "alerts:write"
    ADMIN = "admin"


SCOPES = tuple(scope.value for scope in Scope)


def role_of_scopes(scopes: Iterable[Scope]) -> Role:
    """The role that a token's deeds are written down with; what it may do, its scopes alone say."""
    held = set(scopes)
    if Scope.ADMIN in held:
        return Role.ADMIN
    return Role.RESPONDER if held - {Scope.READ} else Role.VIEWER
