"""Who asks in the request under way, so that no row can forget by which way and with which role.

The gate sets it for each request and takes it back. Outside of one, a command says "terminal" and
everything else acts by itself.
"""

from contextvars import ContextVar
from dataclasses import dataclass

TERMINAL = "terminal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """`via` is ui or api."""

    name: str
    role: str
    via: str


_acting: ContextVar[Acting | None] = ContextVar("acting", default=None)


def begin(acting: Acting) -> None:
    _acting.set(acting)


def end() -> None:
    _acting.set(None)


def way_of(actor: str) -> tuple[str, str]:
    """(role, via) of what `actor` does now. The role is known only of the one who asks."""
    acting = _acting.get()
    if acting is not None:
        return (acting.role if actor == acting.name else "", acting.via)
    if actor == TERMINAL:
        return "admin", "cli"
    return "", "auto"
