"""One fault of `make loop`: what is taken from the console's answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.loop.case import Case
from tests.loop.kinds import Kind
from tests.loop.program import Program, Refused

KIND = Kind("fsync-stall", ("fsync-stall-leader",), "fsync_stall", "leader-fsync-stall")
STALL = {"entity": "node-1", "kind": "fsync_stall", "headline": "Flush stalls"}
DRILL = {
    "id": 7,
    "verdict": "passed",
    "reason": "",
    "faulted_at": "2026-05-01T03:00:00+00:00",
    "truth": {"entity": "node-1", "kind": "fsync_stall"},
}


def incident(number: int, *, opened: str, fixed_s: float | None = 30.0, **more: Any) -> Any:
    known = {
        "id": number,
        "drill_run": 7,
        "onset": f"2026-05-01T03:00:{opened}+00:00",
        "opened": f"2026-05-01T03:00:{opened}+00:00",
        "named_s": 4.0,
        "fixed_s": fixed_s,
        "cause": STALL,
        "firing": 0,
    }
    return {**known, **more}


class Answers(Program):
    """A console whose drill is over at the first look."""

    def __init__(self, *incidents: Any, drill: Any = DRILL, refuses: bool = False) -> None:
        super().__init__(0, "")
        self.asked: list[Mapping[str, object]] = []
        self._incidents = list(incidents)
        self._drill = drill
        self._refuses = refuses

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        self.asked.append(body)
        if self._refuses:
            raise Refused("409 no-real-incident: INC-3 is open")
        return dict(self._drill)

    def get(self, path: str) -> dict[str, Any]:
        if path.startswith("runs"):
            return {"runs": [{"id": 9, "state": "done"}] if path.endswith(":1") else []}
        return {"incidents": self._incidents} if path == "incidents" else dict(self._drill)


def test_the_first_incident_of_a_drill_says_when_it_was_noticed_the_last_when_it_was_over() -> None:
    late = incident(2, opened="40", cause={**STALL, "kind": "cpu_hog"})
    program = Answers(late, incident(1, opened="12"), incident(3, opened="05", drill_run=None))
    case = Case(program, KIND, "fsync-stall-leader")

    found = case.watch()

    assert (found.detected_s, found.named_s, found.fixed_s) == (12.0, 4.0, 70.0)
    assert found.is_right
    assert (found.run, case.run_ids) == ("done", [9])
    assert program.asked == [{"scenario": "fsync-stall-leader", "hold_s": KIND.hold_s}]


def test_a_drill_that_nobody_noticed_is_a_case_without_times() -> None:
    found = Case(Answers(), KIND, "fsync-stall-leader").watch()

    assert not found.is_void
    assert (found.detected_s, found.is_right, found.note) == (None, False, "no incident")


@pytest.mark.parametrize(
    "program",
    [
        Answers(refuses=True),
        Answers(drill={**DRILL, "verdict": "aborted", "reason": "INC-3 is real"}),
        Answers(drill={**DRILL, "verdict": "refused", "faulted_at": None}),
    ],
    ids=["refused at once", "ended for a real page", "refused by a guard later"],
)
def test_a_drill_that_did_not_happen_is_void(program: Answers) -> None:
    assert Case(program, KIND, "fsync-stall-leader").watch().is_void
