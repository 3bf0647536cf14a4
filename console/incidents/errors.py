"""Why a deed on an incident was refused, as a sentence for the page, with its HTTP status."""

from __future__ import annotations


class IncidentError(Exception):
    """Base of what `actions` and `queries` raise."""

    status = 500


class NoSuchIncident(IncidentError):
    status = 404

    def __init__(self, name: int | str) -> None:
        shown = f"INC-{name}" if isinstance(name, int) else name
        super().__init__(f"there is no incident {shown}")


class BadField(IncidentError):
    """`field` can't be what was sent; `expected` says what it may be."""

    status = 400

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected} expected")
        self.field = field
        self.expected = expected


class TooLate(IncidentError):
    """Somebody was quicker, or the incident is in no state for this."""

    status = 409

    def __init__(self, incident_id: int, *, asked: str, state: str, by: str) -> None:
        who = f" by {by}" if by else ""
        super().__init__(f"INC-{incident_id} can't be {asked}: it is {state}{who}")
        self.state = state
        self.by = by
