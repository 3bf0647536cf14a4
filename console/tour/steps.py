"""The tour as a value: which step somebody is at, and what each step leaves for the next.

Nothing is staged. A step starts what anybody could start by hand, an upload, a drill, a runbook,
and remembers its number, so that the strip can tell what became of it. The state belongs to one
person, is stored with them, and survives a closed browser; whatever is stored is read with
suspicion, since an older release may have written it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

JsonObject = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. `why` is what the reader learns by it, in a sentence."""

    number: int
    name: str
    title: str
    why: str


STEPS = (
    Step(
        number=1,
        name="store",
        title="Store something of yours",
        why="The vendor's own SDK works as it stands, and every stage of your write is timed.",
    ),
    Step(
        number=2,
        name="break",
        title="Break it",
        why="A real fault in a real node. The clock runs until it is detected, named and fixed.",
    ),
    Step(
        number=3,
        name="judge",
        title="Was it right?",
        why="The drill knows what it broke; the diagnosis did not. Compare them.",
    ),
    Step(
        number=4,
        name="fix",
        title="Fix it",
        why="A dry run shows what a runbook would do; then approve it alone, with a reason.",
    ),
    Step(
        number=5,
        name="kill",
        title="Kill it yourself",
        why="No button: you end the process that leads, and watch the store go on.",
    ),
    Step(
        number=6,
        name="prove",
        title="Prove it",
        why="A failover drill measures it: how long, what was lost, what clients saw.",
    ),
)
FIRST, BREAK, KILL, LAST = 1, 2, 5, len(STEPS)
STEPS_ASKED = tuple(str(step) for step in range(FIRST, LAST + 1))

FAULTS: Mapping[str, str] = {
    "fsync-stall-leader": "Stall the disk of the leader",
    "noisy-tenant": "Let a noisy tenant in",
}
"""What step 2 offers by name; a surprise is any of SURPRISES."""
SURPRISES = ("fsync-stall-leader", "noisy-tenant", "loop-block", "cpu-hog", "bad-config")
PROOF = "failover-leader"

_HEX_32 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """The process that step 5 showed, so that its end can be told."""

    name: str
    pid: int
    term: int
    shown_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tour:
    """`step` is 0 before it began. `drill` and `proof` are drills' numbers; None: not started."""

    step: int = 0
    is_hidden: bool = False
    trace_id: str = ""
    drill: int | None = None
    is_surprise: bool = False
    killed: Killed | None = None
    proof: int | None = None

    @property
    def has_begun(self) -> bool:
        return self.step >= FIRST


def decode(stored: JsonObject) -> Tour:
    """What was stored, each part that makes no sense left out."""
    step = _whole(stored.get("step")) or 0
    trace_id = stored.get("trace_id")
    is_trace = isinstance(trace_id, str) and _HEX_32.fullmatch(trace_id) is not None
    return Tour(
        step=step if FIRST <= step <= LAST else 0,
        is_hidden=stored.get("is_hidden") is True,
        trace_id=str(trace_id) if is_trace else "",
        drill=_whole(stored.get("drill")),
        is_surprise=stored.get("is_surprise") is True,
        killed=_killed(stored.get("killed")),
        proof=_whole(stored.get("proof")),
    )


def encode(tour: Tour) -> dict[str, object]:
    """The form that `decode` reads."""
    killed = tour.killed
    return {
        "step": tour.step,
        "is_hidden": tour.is_hidden,
        "trace_id": tour.trace_id,
        "drill": tour.drill,
        "is_surprise": tour.is_surprise,
        "killed": None
        if killed is None
        else {
            "name": killed.name,
            "pid": killed.pid,
            "term": killed.term,
            "shown_ms": killed.shown_ms,
        },
        "proof": tour.proof,
    }


def asked(text: str) -> int | None:
    """The step of `?tour=n`; None for anything else."""
    return int(text) if text in STEPS_ASKED else None


def _killed(stored: object) -> Killed | None:
    if not isinstance(stored, dict):
        return None
    name, pid = stored.get("name"), _whole(stored.get("pid"))
    term, shown_ms = _whole(stored.get("term")), _whole(stored.get("shown_ms"))
    if not isinstance(name, str) or pid is None or term is None or shown_ms is None:
        return None
    return Killed(name=name, pid=pid, term=term, shown_ms=shown_ms)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
