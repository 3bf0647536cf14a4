"""Steps that look: two profiles at once with their difference, and a stage's share by node.

A healthy peer under the same load at the same moment is the best picture of normal there is, so a
profile of a suspect is never taken alone. What is captured is stored whatever becomes of the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

from django.conf import settings

from runbooks.engine.executor import StepContext, StepFailed, StepResult
from runbooks.engine.plan import JsonObject, StepKind
from runbooks.steps import profile
from runbooks.steps.registry import NODE_SCHEMA, StepAction
from telemetry.client import QueryClient, TelemetryUnavailable
from telemetry.profiling import stacks
from telemetry.profiling.stacks import Stack

FRAMES_TOLD = 8
MEASURES: Mapping[str, str] = {"median": "flush_p50_ms", "99th percentile": "flush_p99_ms"}
STALL_MS_MIN = 20.0
KEEP_LEASE_EVERY_S = 0.5
RECENT_S = 60
"""A share is of the last minute at most: before that, the fault may not have begun."""


def capture_pair(context: StepContext) -> StepResult:
    """Capture suspect and peer at the same time, store both, and say which functions differ."""
    targets = [str(context.params["suspect"]), str(context.params["peer"])]
    seconds, rate_hz = context.params["seconds"], context.params.get("rate_hz", 100)
    # A thread may not touch the journal, so the lease is kept here while both wait.
    quiet = replace(context, keep_lease=lambda: None)
    asked = [
        replace(quiet, target=target, params={"seconds": seconds, "rate_hz": rate_hz})
        for target in targets
    ]
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="capture") as pool:
        captures = [pool.submit(profile.capture, each) for each in asked]
        pause = Event()
        while not all(capture.done() for capture in captures):
            context.keep_lease()
            pause.wait(KEEP_LEASE_EVERY_S)
        seen = [capture.result() for capture in captures]
    ids = [
        _store(each, result, index)
        for index, (each, result) in enumerate(zip(asked, seen, strict=True))
    ]
    suspect, peer = (stacks.parse(result.payload.decode()) for result in seen)
    return StepResult(
        outcome={
            "suspect_profile": ids[0],
            "peer_profile": ids[1],
            "samples": [result.outcome["samples"] for result in seen],
            "differs": differing(suspect, peer),
        }
    )


def differing(suspect: Mapping[Stack, int], peer: Mapping[Stack, int]) -> list[JsonObject]:
    """The functions whose own share of the samples differs most, in percentage points. Pure."""
    ours, theirs = _own_shares(suspect), _own_shares(peer)
    added = {frame: ours.get(frame, 0.0) - theirs.get(frame, 0.0) for frame in {*ours, *theirs}}
    most = sorted(added.items(), key=lambda row: (-abs(row[1]), row[0]))[:FRAMES_TOLD]
    return [{"function": frame, "added_percent": round(100 * share, 1)} for frame, share in most]


def stage_share(context: StepContext) -> StepResult:
    """How much of all nodes' flush time is the target's, and how much the most of a peer's."""
    target = str(context.params["node"])
    client = QueryClient(settings.HOLDFAST, timeout_s=max(0.1, min(5.0, context.time_left_s)))
    newest: dict[str, dict[str, float]] = {}
    for called, measure in MEASURES.items():
        try:
            series = client.node_series(measure=measure, seconds=RECENT_S, step=5)
        except TelemetryUnavailable as error:
            raise StepFailed(f"telemetry does not answer: {error.reason}", again=True) from error
        values = {name: _newest(points) for name, points in series.items()}
        newest[called] = {name: value for name, value in values.items() if value is not None}
    found = clearest(newest, target)
    if found is None:
        told = f"no flush times of {target} and a peer in the last {RECENT_S} s"
        raise StepFailed(told, again=True)
    return StepResult(outcome=found)


def clearest(newest: Mapping[str, Mapping[str, float]], target: str) -> JsonObject | None:
    """The target's share by the measure in which it stands out most; None without a peer. Pure.

    A disk that stalls steadily shows in the median, which a busy machine hardly moves; one that
    stalls now and then only in the 99th percentile, which a busy machine raises on all nodes. What
    is under STALL_MS_MIN is no stall, whatever its share.
    """
    compared = [
        _compared(called, values, target)
        for called, values in newest.items()
        if target in values and len(values) > 1
    ]
    return max(compared, key=_stands_out, default=None)


def _compared(called: str, values: Mapping[str, float], target: str) -> JsonObject:
    total = sum(values.values()) or 1.0
    peer_ms = max(value for name, value in values.items() if name != target)
    return {
        "share": round(values[target] / total, 3),
        "peer_share": round(peer_ms / total, 3),
        "flush_ms": round(values[target], 2),
        "peer_flush_ms": round(peer_ms, 2),
        "measure": called,
    }


def _stands_out(row: JsonObject) -> tuple[bool, float]:
    flush_ms, share = row["flush_ms"], row["share"]
    assert isinstance(flush_ms, float) and isinstance(share, float), "as made above"
    return flush_ms >= STALL_MS_MIN, share


def _newest(points: list[tuple[int, float | None]]) -> float | None:
    """The highest of the last three steps that were told: a stall shows in some of them."""
    told = [value for _, value in points if value is not None][-3:]
    return max(told, default=None)


def _own_shares(found: Mapping[Stack, int]) -> dict[str, float]:
    total = sum(found.values()) or 1
    return {s.frame: s.self_count / total for s in stacks.hottest(found, len(found) + 1)}


def _store(context: StepContext, result: StepResult, index: int) -> str:
    """Keep one of the two; the id is made from run and place, so storing twice stores once."""
    seen = result.outcome
    origin = f"{context.run_key}:{context.step_name}:{index}:{seen['started_ms']}"
    document = {
        "id": hashlib.sha256(origin.encode()).hexdigest()[:20],
        "target": context.target,
        "started_ms": seen["started_ms"],
        "seconds": context.params["seconds"],
        "rate_hz": context.params["rate_hz"],
        "samples": seen["samples"],
        "pause_percent": seen["pause_percent"],
        "collapsed": result.payload.decode(),
        "run_id": context.run_id,
    }
    try:
        return QueryClient(settings.HOLDFAST).store_profile(document)
    except TelemetryUnavailable as error:
        raise StepFailed(f"telemetry did not store it: {error.reason}", again=True) from error


CAPTURE = StepAction(
    name="profile.capture",
    kind=StepKind.READ,
    sentence="Profile {{ suspect }} and {{ peer }} at the same time",
    perform=capture_pair,
    properties={
        "suspect": NODE_SCHEMA,
        "peer": NODE_SCHEMA,
        "seconds": {"type": "integer", "minimum": 1, "maximum": profile.SECONDS_MAX},
        "rate_hz": {"type": "integer", "minimum": 1, "maximum": profile.RATE_HZ_MAX},
    },
    required=("suspect", "peer", "seconds"),
)
STAGE_SHARE = StepAction(
    name="trace.stage_share",
    kind=StepKind.READ,
    sentence="Compare flush times of {{ node }} with those of its peers",
    perform=stage_share,
    properties={"node": NODE_SCHEMA, "stage": {"enum": ["flush"]}},
    required=("node",),
)
