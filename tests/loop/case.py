"""One fault from its drill to the end of its incident, seen through the API alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tests.loop.kinds import Kind
from tests.loop.outcome import Outcome
from tests.loop.program import Program, Refused

LOOK_S = 0.5
AFTER_S_MAX = 150.0
"""From the end of the fault to the end of its incident: read-back, check, 30 s without trouble."""
ENDED = ("done", "failed", "cancelled", "declined", "expired")
Json = Mapping[str, Any]


class Case:
    """`watch` returns when the drill and what it led to are over, or the time is."""

    def __init__(self, program: Program, kind: Kind, drill: str) -> None:
        self._program = program
        self._kind = kind
        self._name = drill
        self._first: tuple[str, str] | None = None
        self.run_ids: list[int] = []

    def watch(self) -> Outcome:
        asked: dict[str, object] = {"scenario": self._name}
        if self._kind.hold_s is not None:
            asked["hold_s"] = self._kind.hold_s
        try:
            drill: Json = self._program.post("drills", asked)
        except Refused as error:
            return Outcome(self._kind.name, note=str(error))
        incidents, runs = self._follow(int(drill["id"]))
        drill = self._program.get(f"drills/{drill['id']}")
        return self._outcome(drill, incidents, runs)

    def _follow(self, drill_id: int) -> tuple[list[Json], list[Json]]:
        """The drill's incidents as last seen, oldest first, and the runs started for them."""
        incidents: list[Json] = []
        runs: list[Json] = []
        give_up_s = time.monotonic() + (self._kind.hold_s or 30.0) + AFTER_S_MAX
        pause = threading.Event()
        while time.monotonic() < give_up_s:
            pause.wait(LOOK_S)
            try:
                incidents = self._incidents(drill_id) or incidents
                if incidents:
                    self._note_cause(incidents[0])
                runs = [run for incident in incidents for run in self._runs(incident)]
                drill = self._program.get(f"drills/{drill_id}")
            except OSError:
                continue  # A busy console; the next look says more.
            is_quiet = all(run["state"] in ENDED for run in runs) and all(map(_is_over, incidents))
            if drill["verdict"] is not None and is_quiet:
                break
        self.run_ids = [int(run["id"]) for run in runs]
        return incidents, runs

    def _incidents(self, drill_id: int) -> list[Json]:
        found = self._program.get("incidents")["incidents"]
        ours = [each for each in found if each["drill_run"] == drill_id]
        return sorted(ours, key=lambda each: int(each["id"]))

    def _runs(self, incident: Json) -> list[Json]:
        """Oldest first."""
        runs: list[Json] = self._program.get(f"runs?subject=incident:{incident['id']}")["runs"]
        return runs[::-1]

    def _note_cause(self, incident: Json) -> None:
        cause = incident["cause"]
        if self._first is None and cause is not None:
            self._first = (cause["entity"], cause["kind"])

    def _outcome(self, drill: Json, incidents: list[Json], runs: list[Json]) -> Outcome:
        kind, truth = self._kind.name, drill["truth"]
        if drill["faulted_at"] is None or drill["verdict"] in (None, "aborted", "refused"):
            note = f"{drill['verdict'] or 'not over in time'}: {drill['reason']}"
            return Outcome(kind, note=note)
        right = (truth["entity"], truth["kind"])
        if not incidents:
            return Outcome(kind, truth=right, note="no incident")
        faulted_s, incident = _unix_s(drill["faulted_at"]), incidents[0]
        fixed = [_fixed_unix_s(each) for each in incidents]
        known = [moment for moment in fixed if moment is not None]
        return Outcome(
            kind,
            detected_s=max(0.0, _unix_s(incident["opened"]) - faulted_s),
            named_s=incident["named_s"],
            fixed_s=max(known) - faulted_s if len(known) == len(fixed) else None,
            first=self._first,
            truth=right,
            run=str(runs[-1]["state"]) if runs else "",
            note="" if drill["verdict"] == "passed" else f"drill {drill['verdict']}",
        )


def _is_over(incident: Json) -> bool:
    return not incident["firing"] and incident["fixed_s"] is not None


def _fixed_unix_s(incident: Json) -> float | None:
    if incident["fixed_s"] is None:
        return None
    return _unix_s(incident["onset"]) + float(incident["fixed_s"])


def _unix_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
