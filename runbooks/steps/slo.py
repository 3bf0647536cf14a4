"""The step that waits until the service is well again: every objective met, for a while in a row.

Met is what the objectives' own file says and `telemetry.slo` works out, so that a runbook, the page
and the report of a drill can't disagree about when something was fixed.
"""

from __future__ import annotations

import time

from django.conf import settings

from runbooks import clock
from runbooks.engine.executor import StepContext, StepResult
from runbooks.engine.plan import StepKind
from runbooks.steps.registry import StepAction
from runbooks.steps.waiting import pause
from telemetry.client import QueryClient, TelemetryUnavailable
from telemetry.slo import burn, objectives

MET_S_DEFAULT = 30
HISTORY_S_MAX = 900


def wait_until_met(context: StepContext) -> StepResult:
    """Until every objective has been met for `seconds` in a row, none of them before this step."""
    window_s = context.params.get("seconds", MET_S_DEFAULT)
    assert isinstance(window_s, int), "by the schema"
    begun, begun_s = time.monotonic(), clock.now_ms() // 1000
    promised = objectives.effective(settings.HOLDFAST)
    client = QueryClient(settings.HOLDFAST)
    while True:
        waited_s = int(time.monotonic() - begun)
        try:
            told = client.objectives(
                seconds=min(HISTORY_S_MAX, waited_s + window_s + 10),
                step=1,
                write_ms=promised.write_ms or 0.0,
                read_ms=promised.read_ms or 0.0,
            )
            since_s = burn.met_since(
                burn.seconds_of(told["counts"]),
                promised.rows,
                not_before_s=begun_s,
                window_s=window_s,
            )
            last = f"no {window_s} s in a row met every objective"
        except TelemetryUnavailable as error:
            since_s, last = None, f"telemetry does not answer: {error.reason}"
        if since_s is not None:
            return StepResult(outcome={"met_since_ms": since_s * 1000, "window_s": window_s})
        pause(context, begun, last)


WAIT = StepAction(
    name="slo.wait",
    kind=StepKind.READ,
    sentence="Wait until every objective is met",
    perform=wait_until_met,
    properties={"seconds": {"type": "integer", "minimum": 5, "maximum": 120}},
)
