from __future__ import annotations

from collections.abc import Callable

import pytest

from console.triage import actions
from console.triage.findings import (
    Bars,
    Claim,
    Findings,
    Line,
    Part,
    Question,
    Silence,
)
from console.triage.models import Diagnosis

NOW_MS = 1_795_492_700_000


def make_claim(entity: str = "node-1", kind: str = "fsync_stall", **changed: object) -> Claim:
    fields: dict[str, object] = {
        "entity": entity,
        "kind": kind,
        "score": 0.9,
        "headline": f"Flush stalls on {entity}, the leader",
        "lines": (
            Line(
                sentence="Flush p99 on node-1 is 240 ms, its peers' 3.10 ms",
                unit="ms",
                points=((NOW_MS - 5000, 3.0), (NOW_MS, 240.0)),
                trace_id="a" * 32,
                question=Question(
                    ask="node_series", params={"measure": "flush_p99_ms", "seconds": 900, "step": 5}
                ),
            ),
        ),
        "bars": Bars(
            operation="writes",
            normal=(Part(stage="flush", node="node-1", ms=2.0),),
            now=(
                Part(stage="flush", node="node-1", ms=38.0),
                Part(stage="queue", node="node-1", ms=2.0),
            ),
            sentence="87 % of the added time is flush on node-1",
        ),
        "why_not": ("Not the network: every pair is connected",),
        "wrong_if": ("flush p99 of node-0 rises as well",),
    } | changed
    return Claim(**fields)  # type: ignore[arg-type]


def make_findings(*claims: Claim, missing: tuple[Silence, ...] = ()) -> Findings:
    return Findings(
        claims=claims,
        moved=(Line(sentence="Write p99 went from 4.10 ms to 240 ms", unit="ms"),),
        missing=missing,
        onset_ms=NOW_MS - 30_000,
        baselines={"loudest metric": ("node-2", "fsync_stall")},
    )


@pytest.fixture
def keep(db: None) -> Callable[..., Diagnosis | None]:
    """Write an answer for an incident."""

    def write(incident_id: int, *claims: Claim, **parts: object) -> Diagnosis | None:
        found = make_findings(*claims, **parts)  # type: ignore[arg-type]
        return actions.keep(incident_id, found, made_ms=NOW_MS, cpu_ms=120.0)

    return write
