"""What the Now page shows, decided here so that its templates only lay it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from console.figures import span
from console.incidents.page import shape_of, word_of
from console.live.badge import badge_of
from console.live.facts import Series
from console.live.observatory import Picture
from console.live.reading import Reading, Sight
from console.now import duty
from console.now.health import health_of
from console.slos.page import alert_verdict, budget_context
from console.verdict import State
from runbooks.queries import RunRow, active_runs
from storage_core.client import NodeStatus

RUNS_SHOWN = 5
SPARK_POINTS = 120
DONE_ONCE = ("migrate",)  # Commands of the start, not parts that run.


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    name: str
    state: State
    word: str
    facts: NodeStatus | None  # The last known; shown muted unless `fresh`.
    fresh: bool
    as_of_ms: int | None
    lag_entries: int | None
    flush: Series


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    name: str
    state: State
    word: str


def demo_paused_file() -> Path:
    """The demo traffic rests while this file exists, also across restarts."""
    return settings.HOLDFAST.run / "demo.paused"


def node_rows(picture: Picture) -> Sequence[NodeRow]:
    commit = max((part.current.commit_index for part in picture.nodes if part.current), default=0)
    traffic = picture.telemetry.value
    flush: Mapping[str, Series] = traffic.flush_p99_ms if traffic else {}
    rows = []
    for part in picture.nodes:
        state, word = node_state(part)
        facts = part.value
        rows.append(
            NodeRow(
                name=part.part,
                state=state,
                word=word,
                facts=facts,
                fresh=part.sight is Sight.OK,
                as_of_ms=part.as_of_ms,
                lag_entries=max(0, commit - facts.applied_index)
                if part.current and facts
                else None,
                flush=flush.get(part.part, ())[-SPARK_POINTS:],
            )
        )
    return rows


def node_state(part: Reading[NodeStatus]) -> tuple[State, str]:
    if part.sight is Sight.BLIND:
        return "unknown", "no answer"
    if part.sight is Sight.STALE:
        return "warning", "no answer yet"
    assert part.value is not None, "an answer has a value"
    if part.value.role == "recovering":
        return "warning", "recovering"
    if part.value.leader is None:
        return "warning", "no leader"
    return "ok", "up"


def part_rows(picture: Picture) -> Sequence[PartRow]:
    """Each part and each process of the registry, with its uptime in words."""
    rows: list[PartRow] = []
    since: dict[str, float] = {}
    for process in picture.supervisor.current or ():
        if process.since_ms is not None:
            since[process.name] = (picture.taken_ms - process.since_ms) / 1000
    for part in picture.parts:
        if part.sight is Sight.OK:
            up = since.get("valkey" if part is picture.broker else part.part)
            rows.append(
                PartRow(name=part.part, state="ok", word=f"up {span(up)}" if up else "answers")
            )
        else:
            word = "no answer" if part.sight is Sight.BLIND else "silent"
            rows.append(PartRow(name=part.part, state="unknown", word=word))
    seen = {row.name for row in rows} | {"valkey", *DONE_ONCE}
    for process in picture.supervisor.current or ():
        if process.name not in seen:
            state: State = "ok" if process.state == "running" else "warning"
            word = f"up {span(since.get(process.name))}" if state == "ok" else process.state
            rows.append(PartRow(name=process.name, state=state, word=word))
    return rows


def live_context(picture: Picture) -> dict[str, Any]:
    """All that changes on the page while it is open."""
    standing = duty.standing()
    runs: Sequence[RunRow] = active_runs(RUNS_SHOWN + 1)
    budgets = budget_context()
    health = health_of(picture, slow_write_ms=settings.HOLDFAST.slow_write_ms)
    return budgets | {
        "verdict": duty.verdict_with(standing, alert_verdict(budgets["slo"], health)),
        "incidents": [(row, shape_of(row), word_of(row)) for row in standing.incidents],
        "incidents_more": standing.open_count - len(standing.incidents),
        "last_incident": standing.last_incident,
        "badge": badge_of(picture),
        "nodes": node_rows(picture),
        "nodes_blind": all(part.sight is Sight.BLIND for part in picture.nodes),
        "runs": runs[:RUNS_SHOWN],
        "runs_more": len(runs) > RUNS_SHOWN,
        "parts": part_rows(picture),
        "worker": picture.worker,
        "telemetry": picture.telemetry,
        "taken_ms": picture.taken_ms,
    }
