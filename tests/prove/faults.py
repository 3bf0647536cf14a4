"""The faults that runbooks are for, made for real, kept up until they are healed, and ended.

A case breaks something, says what its runbook is asked with, and looks afterwards whether the world
is as the runbook's page promises. The faults are those of drills, but for the hung process, which
nobody lets go on: only a new one helps.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from runbooks.drills import limits
from runbooks.drills.injector import CannotInject, injector_of
from runbooks.drills.scenarios import SCENARIOS, Target
from storage_core.client import NodeStatus
from tests.probe.fleet import Fleet

RENEW_S = 2.0
HOLD_S = 300.0
LIMIT = 10
WAIT_MS = 30_000
"""What a request may wait where nobody changed it."""

Params = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """`node` is the one that the fault is in; `pids` are those of all nodes before the run."""

    node: int
    params: Params
    pids: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`scenario` is a drill's, "hang", or "" for no fault. `seen` tells what is not as promised
    after the run, "" if all is; `back` does so after it was taken back, where that can be done.
    """

    runbook: str
    scenario: str
    params: Callable[[int], Params]
    seen: Callable[[Fleet, Broken], str]
    back: Callable[[Fleet, Broken], str] | None = None
    wait_s: float = 8.0


@contextmanager
def broken(fleet: Fleet, case: Case) -> Iterator[Broken]:
    """A node in trouble, as this case has it, for as long as the block lasts."""
    leader = node = fleet.wait_settled(60)
    pids = {status.node: status.pid for status in fleet.statuses()}
    if case.scenario in SCENARIOS and SCENARIOS[case.scenario].target is Target.FOLLOWER:
        node = min(pids.keys() - {leader})
    found = Broken(node=node, params=case.params(node), pids=pids)
    if case.scenario == "hang":
        os.kill(pids[node], signal.SIGSTOP)
        yield found
    elif case.scenario:
        scenario = SCENARIOS[case.scenario]
        injector = injector_of(scenario, fleet.settings, node, hold_s=HOLD_S)
        injector.begin()
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(RENEW_S):
                with suppress(CannotInject):  # A node that restarts meanwhile has no fault.
                    injector.renew()

        keeper = threading.Thread(target=renew, daemon=True)
        keeper.start()
        try:
            yield found
        finally:
            ended.set()
            keeper.join(10)
            injector.end()
    else:
        yield found


def _node(node: int) -> Params:
    return {"node": f"node-{node}"}


def _status(fleet: Fleet, node: int) -> NodeStatus:
    return fleet.client.status(node, timeout_s=5)


def _moved(fleet: Fleet, was: Broken) -> str:
    status = _status(fleet, was.node)
    if status.role == "leader" or not status.drained:
        return f"node-{was.node} is {status.role}, drained: {status.drained}"
    return ""


def _may_lead(fleet: Fleet, was: Broken) -> str:
    return f"node-{was.node} is still drained" if _status(fleet, was.node).drained else ""


def _restarted(fleet: Fleet, was: Broken) -> str:
    pid = _status(fleet, was.node).pid
    return f"node-{was.node} is still process {pid}" if pid == was.pids[was.node] else ""


def _all_restarted(fleet: Fleet, was: Broken) -> str:
    old = [n for n, pid in was.pids.items() if _status(fleet, n).pid == pid]
    return f"still the old process: nodes {old}" if old else ""


def _limit(fleet: Fleet) -> float | None:
    return next(a.ops_per_s for a in fleet.client.accounts() if a.name == limits.NOISY_TENANT)


def _throttled(fleet: Fleet, _was: Broken) -> str:
    found = _limit(fleet)
    return "" if found == LIMIT else f"the limit is {found}"


def _unlimited(fleet: Fleet, _was: Broken) -> str:
    found = _limit(fleet)
    return "" if found is None else f"the limit is still {found}"


def _reverted(fleet: Fleet, was: Broken) -> str:
    found = fleet.client.configuration(was.node)["request_wait_ms"]
    return "" if found == WAIT_MS else f"request_wait_ms is {found}"


def _nothing(_fleet: Fleet, _was: Broken) -> str:
    return ""


def _moves(runbook: str, scenario: str) -> Case:
    return Case(runbook=runbook, scenario=scenario, params=_node, seen=_moved, back=_may_lead)


CASES = (
    _moves("leader-fsync-stall", "fsync-stall-leader"),
    Case(runbook="hung-node", scenario="hang", params=_node, seen=_restarted, wait_s=3.0),
    Case(
        runbook="noisy-tenant",
        scenario="noisy-tenant",
        params=lambda _: {"tenant": limits.NOISY_TENANT, "ops_per_s": str(LIMIT)},
        seen=_throttled,
        back=_unlimited,
    ),
    Case(runbook="capture-evidence", scenario="cpu-hog", params=_node, seen=_nothing, wait_s=2.0),
    Case(runbook="rolling-restart", scenario="", params=lambda _: {}, seen=_all_restarted),
    _moves("isolated-node", "isolate-leader"),
    _moves("cpu-hog", "cpu-hog"),
    _moves("loop-block", "loop-block"),
    Case(
        runbook="revert-config",
        scenario="bad-config",
        params=lambda node: {**_node(node), "name": "request_wait_ms", "value": str(WAIT_MS)},
        seen=_reverted,
    ),
)
