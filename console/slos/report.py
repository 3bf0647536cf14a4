"""How objectives stand, as one JSON document: the API and `manage.py slo --json` say the same."""

from dataclasses import asdict

from console.slos.queries import status_of, worst_first
from console.slos.state import Overview


def document(found: Overview) -> dict[str, object]:
    """`met` is null where it can't be told, and `reason` says why."""
    status = status_of(found)
    return {
        "as_of_ms": found.at_ms,
        "fresh": found.is_fresh,
        "met": status.met,
        "met_since_ms": status.since_ms,
        "burning": list(status.burning),
        "reason": status.reason,
        "counted_by": found.source,
        "file": {"path": found.path, "version": found.digest, "error": found.error},
        "objectives": [asdict(row) for row in worst_first(found.objectives)],
        "firing": [asdict(row) for row in found.firing],
    }
