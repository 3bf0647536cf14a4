"""Who is looking at an incident now: told by their open pages, kept in the web process's memory.

Being there is no fact worth a disk: it is true for some seconds, and a restart of the web process
forgets it together with the pages' connections.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from console.incidents import limits


class Presence:
    """Names by incident, each with when it was last heard, in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, str], float] = {}
        self._lock = threading.Lock()

    def note(self, incident_id: int, person: str, *, now_s: float) -> None:
        with self._lock:
            if len(self._seen) >= limits.PRESENT_MAX:
                self._seen = {k: at for k, at in self._seen.items() if not _gone(at, now_s)}
            if len(self._seen) < limits.PRESENT_MAX or (incident_id, person) in self._seen:
                self._seen[incident_id, person] = now_s

    def here(self, incident_id: int, *, now_s: float) -> Sequence[str]:
        """By name."""
        with self._lock:
            return sorted(
                person
                for (incident, person), at in self._seen.items()
                if incident == incident_id and not _gone(at, now_s)
            )


def _gone(at_s: float, now_s: float) -> bool:
    return now_s - at_s > limits.PRESENCE_S


presence = Presence()
