"""What users feel of each open incident, and when it was over: measured, or said to be unknown.

Requests come from telemetry's counts, data at risk from what the nodes say of their own logs. A
source that doesn't answer leaves its figure as it was; nothing is guessed. Called by the watcher,
never on the way of a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from console.alerts.canary import ACCOUNT as CANARY_ACCOUNT
from console.incidents import journal
from console.incidents.lifecycle import STATES_OPEN
from console.incidents.models import Incident
from console.slos.queries import status
from runbooks.clock import from_ms, to_ms
from storage_core.client import FleetClient, NodeStatus
from storage_core.errors import NodeUnreachable
from telemetry import names
from telemetry.client import QueryClient, TelemetryUnavailable

ANSWER_S_MAX = 1.0
STEP_S = 5
LOOK_BACK_S_MAX = 1800
BEFORE_S = 15
TENANT_STEP_S = 15
NO_TENANTS = frozenset({"", names.ACCOUNT_REST, CANARY_ACCOUNT})
MEASURED_MAX = 20
MET_OVER_MS = 30_000
FIXED_LOOK_BACK_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Felt:
    """Requests of the time of an incident that failed, or were late; None: nobody could say."""

    failed: int | None = None
    late: int | None = None


def felt(steps: Sequence[Mapping[str, Any]], *, since_ms: int, until_ms: int) -> Felt:
    """Summed over the steps of that time; those in which nobody counted are not among them."""
    known = [step for step in steps if since_ms - STEP_S * 1000 < step["t_ms"] <= until_ms]
    if not known:
        return Felt()
    return Felt(
        failed=sum(int(step["writes_failed"] + step["reads_failed"]) for step in known),
        late=sum(int(step["writes_slow"] + step["reads_slow"]) for step in known),
    )


def tenants_felt(
    rows: Sequence[Sequence[Any]], *, since_ms: int, until_ms: int, slow_ms: float
) -> tuple[str, ...]:
    """Accounts of which one request in a hundred was slow in some step of that time; `rows` are
    points of requests by account: node, account, start ms, count, sum, last, p50, p99.
    """
    found = {
        account
        for _node, account, at_ms, count, _sum, _last, _p50, p99_ms in rows
        if since_ms - TENANT_STEP_S * 1000 < at_ms <= until_ms
        and count
        and p99_ms is not None
        and p99_ms > slow_ms
    }
    return tuple(sorted(found - NO_TENANTS))


def at_risk(statuses: Sequence[NodeStatus]) -> bool | None:
    """Whether an acknowledged write is on fewer disks than a quorum, by the leader's own count.

    One node's word, since figures of several are never of the same moment. None without a leader:
    what is acknowledged is where it was, and nobody can say where that is.
    """
    leader = next((status for status in statuses if status.role == "leader"), None)
    if leader is None:
        return None
    flushed = [leader.durable_index, *(peer.match_index for peer in leader.peers.values())]
    holding = sum(1 for index in flushed if index >= leader.commit_index)
    return holding < len(flushed) // 2 + 1


def measure(now_ms: int) -> int:
    """Write down the impact of what is open; how many incidents that was."""
    rows = list(
        Incident.objects.filter(
            state__in=[state.value for state in STATES_OPEN], firing_count__gt=0, scope="fleet"
        ).order_by("-id")[:MEASURED_MAX]
    )
    if not rows:
        return 0
    first_ms = min(to_ms(row.onset_at) for row in rows)
    steps, accounts = _steps(first_ms, now_ms), _accounts(first_ms, now_ms)
    risk = at_risk(_statuses())
    for row in rows:
        now = felt(steps, since_ms=to_ms(row.onset_at), until_ms=now_ms)
        journal.note_impact(
            row.pk,
            failed=now.failed,
            late=now.late,
            tenants=tenants_felt(
                accounts,
                since_ms=to_ms(row.onset_at),
                until_ms=now_ms,
                slow_ms=settings.HOLDFAST.slow_write_ms,
            ),
            data_at_risk=risk,
            at_ms=now_ms,
        )
    return len(rows)


def see_fixed(now_ms: int) -> int:
    """Write when each incident of the last hour was over for users; how many that were."""
    standing = status()
    if standing.met is not True or standing.since_ms is None:
        return 0
    rows = Incident.objects.filter(
        fixed_at=None,
        scope="fleet",
        opened_at__gte=from_ms(now_ms - FIXED_LOOK_BACK_MS),
        opened_at__lte=from_ms(now_ms - MET_OVER_MS),
        onset_at__lt=from_ms(standing.since_ms),
    )[:MEASURED_MAX]
    return sum(
        journal.note_fixed(row.pk, fixed_ms=max(standing.since_ms, to_ms(row.onset_at)))
        for row in rows
    )


def _steps(since_ms: int, now_ms: int) -> Sequence[Mapping[str, Any]]:
    fleet = settings.HOLDFAST
    seconds = min(LOOK_BACK_S_MAX, (now_ms - since_ms) // 1000 + BEFORE_S)
    try:
        answer = QueryClient(fleet, timeout_s=ANSWER_S_MAX).objectives(
            seconds=max(60, seconds),
            step=STEP_S,
            write_ms=fleet.slow_write_ms,
            read_ms=fleet.slow_read_ms,
        )
    except TelemetryUnavailable:
        return ()
    counts: Sequence[Mapping[str, Any]] = answer["counts"]
    return counts


def _accounts(since_ms: int, now_ms: int) -> Sequence[Sequence[Any]]:
    """Requests by account; none where the store of signals doesn't answer."""
    first_ms = max(since_ms, now_ms - LOOK_BACK_S_MAX * 1000) - TENANT_STEP_S * 1000
    try:
        answer = QueryClient(settings.HOLDFAST, timeout_s=ANSWER_S_MAX).points(
            names.ACCOUNT_DURATION.name,
            since_ms=first_ms,
            until_ms=now_ms,
            step=TENANT_STEP_S,
            by=names.ACCOUNT,
        )
    except TelemetryUnavailable:
        return ()
    rows: Sequence[Sequence[Any]] = answer["rows"]
    return rows


def _statuses() -> list[NodeStatus]:
    client = FleetClient(settings.HOLDFAST)
    found = []
    for node in range(settings.HOLDFAST.nodes):
        try:
            found.append(client.status(node, ANSWER_S_MAX))
        except NodeUnreachable:
            continue
    return found
