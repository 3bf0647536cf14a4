"""The life of an incident, as one table: what may happen in which state, and what it leads to.

Open means that nobody has taken it. Mitigated means that users no longer feel it. People move an
incident along; the machine may only end what it opened, take it back when its alert fires again,
and see that it recovered. Whatever the table doesn't name is refused. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"


class Deed(StrEnum):
    ACKNOWLEDGE = "acknowledge"
    MITIGATE = "mitigate"
    RESOLVE = "resolve"
    REOPEN = "reopen"  # An alert fires again, or a person was too early.
    RECOVER = "recover"  # Its last alert ended.


class Severity(StrEnum):
    PAGE = "page"
    TICKET = "ticket"


NEXT: Final[Mapping[tuple[State, Deed], State]] = {
    (State.OPEN, Deed.ACKNOWLEDGE): State.ACKNOWLEDGED,
    (State.OPEN, Deed.MITIGATE): State.MITIGATED,
    (State.OPEN, Deed.RESOLVE): State.RESOLVED,
    # Nobody has taken it and it is over: it ends, and says that no hand was needed.
    (State.OPEN, Deed.RECOVER): State.RESOLVED,
    (State.ACKNOWLEDGED, Deed.MITIGATE): State.MITIGATED,
    (State.ACKNOWLEDGED, Deed.RESOLVE): State.RESOLVED,
    # Somebody has it in hand and says themselves when it is done.
    (State.ACKNOWLEDGED, Deed.RECOVER): State.MITIGATED,
    (State.MITIGATED, Deed.RESOLVE): State.RESOLVED,
    (State.MITIGATED, Deed.REOPEN): State.ACKNOWLEDGED,
    (State.RESOLVED, Deed.REOPEN): State.OPEN,
}
STATES_OPEN: Final = (State.OPEN, State.ACKNOWLEDGED, State.MITIGATED)
PAST: Final[Mapping[Deed, str]] = {
    Deed.ACKNOWLEDGE: "acknowledged",
    Deed.MITIGATE: "mitigated",
    Deed.RESOLVE: "resolved",
    Deed.REOPEN: "opened again",
    Deed.RECOVER: "recovered",
}


def after(state: State, deed: Deed) -> State | None:
    """Where `deed` leads from `state`; None: it can't be done there."""
    return NEXT.get((state, deed))


def is_worse(severity: str, than: str) -> bool:
    return severity == Severity.PAGE and than != Severity.PAGE
