"""The run `capture-profile`: look into a process for some seconds and keep what was seen.

Two steps, both reads of the target, so each may be done again: *capture* asks the profiler helper
(the one process that may attach to others, and takes only registered names) for collapsed stacks;
*store* hands them to telemetry, where the flame graph page finds them by time. The profile's id is
made from the run's key and the attempt, so storing twice stores once.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import time
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from runbooks import bell
from runbooks.engine.executor import Action, StepContext, StepFailed, StepResult
from runbooks.engine.plan import JsonObject, PlannedStep, RunKind, StepKind
from runbooks.errors import BadParameter
from telemetry.client import QueryClient, TelemetryUnavailable
from telemetry.profiling import stacks
from telemetry.profiling.stacks import MalformedStacks

SECONDS_DEFAULT, SECONDS_MAX = 10, 60
# At 250 Hz a process with many deep threads stands still for half of the time (measured).
RATE_HZ_DEFAULT, RATE_HZ_MAX = 100, 200
TOP_FUNCTIONS = 5
ANSWER_BYTES_MAX = 12 * 1024 * 1024  # telemetry takes a profile of at most 16 MiB
LOOK_UP_S = 0.5  # how often a waiting capture renews its lease or learns that it was cancelled

_TARGET = re.compile(r"[a-z][a-z0-9-]{0,62}")


def _check(target: str, params: Mapping[str, object]) -> JsonObject:
    if not _TARGET.fullmatch(target):
        raise BadParameter("target", target, "the registered name of a process, such as node-1")
    unknown = sorted(set(params) - {"seconds", "rate_hz"})
    if unknown:
        raise BadParameter(unknown[0], params[unknown[0]], "only seconds and rate_hz")
    return {
        "seconds": _whole(params, "seconds", SECONDS_DEFAULT, SECONDS_MAX),
        "rate_hz": _whole(params, "rate_hz", RATE_HZ_DEFAULT, RATE_HZ_MAX),
    }


def _whole(params: Mapping[str, object], name: str, default: int, high: int) -> int:
    value = params.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= high:
        raise BadParameter(name, value, f"a whole number from 1 to {high}")
    return value


def _steps(params: JsonObject) -> tuple[PlannedStep, ...]:
    seconds = params["seconds"]
    assert isinstance(seconds, int), "checked before"
    return (
        # Room to wait for somebody else's capture, and for slow symbols.
        PlannedStep(name="capture", kind=StepKind.READ, attempts=2, timeout_s=2 * seconds + 25),
        PlannedStep(name="store", kind=StepKind.IDEMPOTENT, attempts=5, timeout_s=20),
    )


CAPTURE_PROFILE = RunKind(
    name="capture-profile",
    title="Capture a profile",
    queue=bell.HOST_QUEUE,
    deadline_s=300,
    check=_check,
    steps=_steps,
)


def capture(context: StepContext) -> StepResult:
    """Ask the helper for stacks, keeping the lease while it samples."""
    request = {
        "op": "capture",
        "target": context.target,
        "seconds": context.params["seconds"],
        "rate_hz": context.params["rate_hz"],
    }
    deadline = time.monotonic() + context.time_left_s
    answer = _ask_helper(request, context, deadline)
    while answer.get("code") == "busy":
        # Somebody without a run, such as `manage.py profile`, looks at it now. That ends.
        _wait(context, deadline)
        answer = _ask_helper(request, context, deadline)
    if "error" in answer:
        raise StepFailed(str(answer["error"]), again=answer.get("again") is True)
    try:
        collapsed = str(answer["collapsed"])
        outcome: JsonObject = {
            "started_ms": int(answer["started_ms"]),
            "samples": int(answer["samples"]),
            "pause_percent": round(float(answer["pause_percent"]), 2),
            "top": top_functions(collapsed),
        }
    except (KeyError, TypeError, ValueError, MalformedStacks) as error:
        raise StepFailed(f"the profiler's answer is incomplete: {error!r}", again=True) from error
    return StepResult(outcome=outcome, payload=collapsed.encode())


def store(context: StepContext) -> StepResult:
    """Hand the stacks to telemetry; the outcome is the run's."""
    seen = context.outcomes["capture"]
    # The start time is the capture's own, so that a later capture of this run is another profile.
    origin = f"{context.run_key}:{seen['started_ms']}"
    profile_id = hashlib.sha256(origin.encode()).hexdigest()[:20]
    profile = {
        "id": profile_id,
        "target": context.target,
        "started_ms": seen["started_ms"],
        "seconds": context.params["seconds"],
        "rate_hz": context.params["rate_hz"],
        "samples": seen["samples"],
        "pause_percent": seen["pause_percent"],
        "collapsed": context.payload.decode(),
        "run_id": context.run_id,
    }
    client = QueryClient(settings.HOLDFAST, timeout_s=max(0.1, context.time_left_s))
    try:
        stored_id = client.store_profile(profile)
    except TelemetryUnavailable as error:
        again = error.status not in (400, 413, 422)
        raise StepFailed(f"telemetry did not store it: {error.reason}", again=again) from error
    outcome: JsonObject = {
        "profile_id": stored_id,
        "samples": seen["samples"],
        "pause_percent": seen["pause_percent"],
        "top": seen["top"],
    }
    return StepResult(outcome=outcome)


ACTIONS: dict[str, Action] = {"capture": capture, "store": store}


def top_functions(collapsed: str) -> list[JsonObject]:
    """Where the samples ended: the functions with the most samples of their own, in percent."""
    found = stacks.parse(collapsed)
    total = max(1, sum(found.values()))
    return [
        {"function": share.frame, "percent": round(100 * share.self_count / total, 1)}
        for share in stacks.hottest(found, TOP_FUNCTIONS)
    ]


def _wait(context: StepContext, deadline: float) -> None:
    context.keep_lease()
    if time.monotonic() >= deadline:
        raise StepFailed(f"another profile of {context.target} did not end in time", again=True)
    time.sleep(LOOK_UP_S)


def _ask_helper(
    request: Mapping[str, object], context: StepContext, deadline: float
) -> dict[str, Any]:
    """One line of JSON there, one back. Raises StepFailed. Leaving the socket ends a capture."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as helper:
            helper.settimeout(LOOK_UP_S)
            helper.connect(str(settings.HOLDFAST.run / "profiler.sock"))
            helper.sendall(json.dumps(request).encode() + b"\n")
            line = _read_line(helper, context, deadline)
    except OSError as error:
        raise StepFailed(f"the profiler does not answer: {error}", again=True) from error
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise StepFailed("the profiler answered no JSON", again=True) from error
    if not isinstance(answer, dict):
        raise StepFailed("the profiler answered no JSON object", again=True)
    return answer


def _read_line(helper: socket.socket, context: StepContext, deadline: float) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        context.keep_lease()
        if time.monotonic() >= deadline:
            raise StepFailed("the profiler did not answer in time", again=True)
        try:
            part = helper.recv(65_536)
        except TimeoutError:
            continue
        if not part:
            raise StepFailed("the profiler ended before it answered", again=True)
        data += part
        if len(data) > ANSWER_BYTES_MAX:
            raise StepFailed(f"over {ANSWER_BYTES_MAX} bytes of stacks", again=False)
    return bytes(data)
