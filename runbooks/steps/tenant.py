"""Steps about one account: how much of the load is its, and how much each node takes of it."""

from __future__ import annotations

from django.conf import settings

from runbooks import clock
from runbooks.engine.executor import StepContext, StepFailed, StepResult
from runbooks.engine.plan import JsonObject, StepKind
from runbooks.steps import orders
from runbooks.steps.registry import StepAction
from telemetry import names
from telemetry.client import QueryClient, TelemetryUnavailable

WINDOW_S = 30
"""Long enough for a share of many requests, short enough to be of now."""


def share(context: StepContext) -> StepResult:
    """How much of all accounts' requests was this one's, of late."""
    account, until_ms = _account(context), clock.now_ms()
    client = QueryClient(settings.HOLDFAST, timeout_s=max(0.1, min(5.0, context.time_left_s)))
    try:
        told = client.points(
            names.ACCOUNT_DURATION.name,
            since_ms=until_ms - WINDOW_S * 1000,
            until_ms=until_ms,
            step=WINDOW_S,
            by=names.ACCOUNT,
        )
    except TelemetryUnavailable as error:
        raise StepFailed(f"telemetry does not answer: {error.reason}", again=True) from error
    counts: dict[str, int] = {}
    for row in told["rows"]:
        counts[row[1]] = counts.get(row[1], 0) + int(row[3])
    total = sum(counts.values())
    if not total:
        raise StepFailed(f"no request of any account in the last {WINDOW_S} s", again=True)
    ours = counts.get(account, 0)
    outcome: JsonObject = {
        "account": account,
        "share": round(ours / total, 3),
        "requests_per_s": round(ours / WINDOW_S, 1),
    }
    return StepResult(outcome=outcome)


def throttle(context: StepContext) -> StepResult:
    """Each node takes at most so many requests a second of the account; 0 lifts the limit."""
    account = _account(context)
    limit = context.params["ops_per_s"]
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise StepFailed(f"ops_per_s is {limit!r}, which is no number", again=False)
    with orders.refusals_told(may_have_happened=False):
        orders.client().throttle(
            account,
            ops_per_s=float(limit) if limit else None,
            operation=orders.operation(context),
            timeout_s=max(0.1, min(5.0, context.time_left_s)),
        )
    return StepResult(outcome={"account": account, "ops_per_s": limit})


def _account(context: StepContext) -> str:
    return str(context.params["tenant"]).removeprefix("tenant:")


_TENANT: JsonObject = {"type": "string", "minLength": 1, "maxLength": 100}
THROTTLE = StepAction(
    name="tenant.throttle",
    kind=StepKind.IDEMPOTENT,
    sentence="Take at most {{ ops_per_s }} requests/s of {{ tenant }} on each node",
    perform=throttle,
    properties={
        "tenant": _TENANT,
        "ops_per_s": {"type": "number", "minimum": 0, "maximum": 1_000_000},
    },
    required=("tenant", "ops_per_s"),
)
SHARE = StepAction(
    name="tenant.share",
    kind=StepKind.READ,
    sentence="Compare the load of {{ tenant }} with all others'",
    perform=share,
    properties={"tenant": _TENANT},
    required=("tenant",),
)
