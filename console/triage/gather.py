"""Fills the evidence: asks everybody once, and notes who did not answer.

A thin shell around `onset` and `diagnose`. First the rings, since they say when it began; then all
the rest at once, each with its own deadline, because the part that broke must not keep the others
back. Nothing here can raise for a missing source: it becomes a line in `missing` and triage goes on
with what is left.

What drills do is not asked for, by anybody: not their rows, not their marks, not the switches of a
node. A test reads these modules for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeVar

from django.conf import settings

from console.triage import limits, onset, stages
from console.triage.evidence import (
    ChangeSeen,
    Curve,
    Evidence,
    NodeNow,
    Point,
    ProcessNow,
    Request,
    Seconds,
)
from console.triage.findings import Silence
from console.triage.stages import Stage
from storage_core.client import FleetClient, NodeStatus
from storage_core.errors import NodeUnreachable, OrderRefused
from storage_core.fleet.client import Refused, SupervisorAway, ask
from telemetry import names
from telemetry.client import QueryClient, TelemetryUnavailable
from telemetry.config import Settings

Found = TypeVar("Found")

ANSWER_S_MAX: Final = 12.0
"""Of one question; on a machine that is short of processors the store is slow, not away."""
STATUS_S_MAX: Final = 1.0
STEP_S: Final = 5
CURVES: Final = (
    names.UPTIME,
    names.RAFT_LEADER,
    names.LOOP_DELAY,
    names.PROCESS_CPU,
    names.LOOP_RUN_QUEUE,
    names.REPORTS_MISSED,
    names.PEER_HEARTBEATS_MISSED,
    names.ACCOUNT_DURATION,
    names.ACCOUNT_BYTES,
)
"""Metrics that are compared."""
TOLD_APART_BY: Final = (names.PEER, names.ACCOUNT)

Changes = Callable[[int, int], Iterable[ChangeSeen]]


def gather(
    *, now_ms: int, burn_ms: int | None, changes: Changes, fleet: Settings | None = None
) -> Evidence:
    """Everything that can be seen now. `burn_ms` is when the budget began to burn, if known."""
    fleet = fleet or settings.HOLDFAST
    missing: list[Silence] = []
    query = QueryClient(fleet, timeout_s=ANSWER_S_MAX)
    seconds = _from_telemetry(lambda: seconds_now(query, now_ms), "telemetry", missing)
    began = onset.find(seconds or Seconds(), now_ms=now_ms, burn_ms=burn_ms)
    with ThreadPoolExecutor(max_workers=4, thread_name_prefix="triage") as pool:
        nodes = pool.submit(nodes_now, fleet)
        processes = pool.submit(processes_now, fleet)
        # Two at a time: telemetry has two threads for questions, and pages ask as well.
        stored = [pool.submit(_stored, query, began, quick) for quick in (False, True)]
        evidence = Evidence(
            taken_ms=now_ms,
            onset_ms=began.at_ms,
            normal=began.normal,
            now=began.now,
            seconds=seconds or Seconds(),
            nodes=nodes.result(),
            processes=_part(processes, "supervisor", missing) or (),
        )
        if seconds is not None:
            for each in stored:
                parts = _part(each, "telemetry's store", missing)
                evidence = replace(evidence, **(parts or {}))
    missing += [
        Silence(source=each.node, reason=each.why)
        for each in evidence.nodes
        if not each.is_reachable
    ]
    seen = changes(began.now[0] - 15 * 60_000, now_ms)
    return replace(evidence, changes=tuple(seen), missing=tuple(missing))


def seconds_now(query: QueryClient, now_ms: int) -> Seconds:
    """The last quarter of an hour, second by second. A node not heard in all of it is left out."""
    found = query.node_seconds(
        seconds=limits.WINDOW_S,
        write_ms=stages.LIMIT_MS[names.KIND_WRITE],
        read_ms=stages.LIMIT_MS[names.KIND_READ],
    )
    heard = {
        node: columns
        for node, columns in found["nodes"].items()
        if any(value is not None for value in columns["writes"])
    }
    # Before the first node was heard there is nothing to compare with: telemetry was not up.
    first = min(
        (
            at
            for columns in heard.values()
            for at, value in enumerate(columns["writes"])
            if value is not None
        ),
        default=0,
    )
    return Seconds(
        start_s=int(found["start_s"]) + first,
        nodes={
            node: {name: tuple(values[first:]) for name, values in columns.items()}
            for node, columns in heard.items()
        },
    )


def _stored(query: QueryClient, began: onset.Onset, requests_only: bool) -> Mapping[str, Any]:
    """What comes from the store on disk."""
    if not requests_only:
        return {"curves": tuple(curves_now(query, began))}
    return {
        "requests_normal": tuple(requests_of(query, began.normal)),
        "requests_now": tuple(requests_of(query, began.now)),
    }


def curves_now(query: QueryClient, began: onset.Onset) -> Iterable[Curve]:
    answer = query.many_points(
        [metric.name for metric in CURVES],
        since_ms=min(began.normal[0], began.now[0]),
        until_ms=began.now[1],
        step=STEP_S,
        by=TOLD_APART_BY,
    )
    for metric, told in sorted(answer.items()):
        yield from decode_curves(metric, told)


def decode_curves(metric: str, answer: Mapping[str, Any]) -> Iterable[Curve]:
    rows: dict[tuple[str, str], list[Point]] = {}
    for node, of, at, count, total, last, _, p99 in answer["rows"]:
        point = Point(at_ms=at, count=count, total=total, last=last, p99=p99)
        rows.setdefault((node, of), []).append(point)
    for (node, of), points in sorted(rows.items()):
        yield Curve(metric=metric, node=node, of=of, points=tuple(points))


def requests_of(query: QueryClient, window: tuple[int, int]) -> Iterable[Request]:
    found = query.requests(since_ms=window[0], until_ms=window[1], limit=limits.REQUESTS_MAX)
    return [decode_request(each) for each in found]


def decode_request(raw: Mapping[str, Any]) -> Request:
    start_ns, duration_ns = int(raw["start_ns"]), int(raw["duration_ns"])
    own = [
        Stage(str(stage), str(node), int(begin), int(begin) + int(length))
        for stage, node, begin, length in raw["stages"]
    ]
    attributes = {str(name): str(value) for name, value in raw["attributes"].items()}
    return Request(
        trace_id=str(raw["trace_id"]),
        at_ms=start_ns // 1_000_000,
        ms=duration_ns / 1e6,
        operation=str(raw["operation"]),
        kind=attributes.get(names.KIND, names.KIND_OTHER),
        node=str(raw["node"]),
        is_failed=raw["status"] == "error",
        is_random=raw["reason"] == "random",
        attributes=attributes,
        parts=stages.exclusive(str(raw["node"]), start_ns, start_ns + duration_ns, own),
    )


def nodes_now(fleet: Settings) -> tuple[NodeNow, ...]:
    client = FleetClient(fleet)
    found = client.statuses(STATUS_S_MAX)
    return tuple(_node(client, node, status) for node, status in sorted(found.items()))


def _node(client: FleetClient, node: int, status: NodeStatus | NodeUnreachable) -> NodeNow:
    if isinstance(status, NodeUnreachable):
        return NodeNow(node=f"node-{node}", why=str(status)[:200])
    return NodeNow(
        node=status.name,
        role=status.role,
        term=status.term,
        leader="" if status.leader is None else f"node-{status.leader}",
        uptime_s=status.uptime_s,
        commit_index=status.commit_index,
        applied_index=status.applied_index,
        is_drained=status.drained,
        connected={f"node-{peer}": each.is_connected for peer, each in status.peers.items()},
        lag_entries={f"node-{peer}": each.lag_entries for peer, each in status.peers.items()},
        settings=_settings(client, node),
    )


def _settings(client: FleetClient, node: int) -> Mapping[str, int]:
    try:
        return dict(client.configuration(node, STATUS_S_MAX))
    except (NodeUnreachable, OrderRefused):
        return {}  # Its status came; without its settings it is compared in everything else.


def processes_now(fleet: Settings) -> tuple[ProcessNow, ...]:
    raw = ask(fleet.run, "registry", timeout_s=STATUS_S_MAX)
    return tuple(
        ProcessNow(
            name=str(name),
            state=str(entry.get("state", "")),
            since_ms=int(entry.get("since_ms") or 0),
            restarts=int(entry.get("restarts") or 0),
        )
        for name, entry in sorted(raw.items())
    )


def reason_of(error: TelemetryUnavailable) -> str:
    """Why telemetry told nothing, in a few words."""
    cause = error.__cause__
    if isinstance(cause, ConnectionRefusedError):
        return "nothing listens"
    if isinstance(cause, TimeoutError):
        return f"no answer within {ANSWER_S_MAX:g} s"
    return str(cause or error)[:120]


def _from_telemetry(read: Callable[[], Found], source: str, missing: list[Silence]) -> Found | None:
    try:
        return read()
    except TelemetryUnavailable as error:
        missing.append(Silence(source=source, reason=reason_of(error)))
        return None


def _part(future: Future[Found], source: str, missing: list[Silence]) -> Found | None:
    try:
        return future.result()
    except TelemetryUnavailable as error:
        missing.append(Silence(source=source, reason=reason_of(error)))
    except (SupervisorAway, Refused) as error:
        missing.append(Silence(source=source, reason=str(error)[:120]))
    return None
