"""Taking back whatever a drill may have left behind, by anybody and as often as they like.

Each fault ends by itself in its target; this only makes it end sooner, and says what is still
wrong. It needs the supervisor's socket and the nodes' admin ports, no table and no broker.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from runbooks.drills import changed_settings, limits
from storage_core.client import FleetClient, NodeStatus
from storage_core.errors import NodeUnreachable, OrderRefused
from storage_core.fleet import pauses
from storage_core.fleet.client import Refused, SupervisorAway, ask
from telemetry.config import Settings

LOOK_S = 0.2
ASK_S_MAX = 2.0


def heal(settings: Settings, *, keep_lease: Callable[[], None] = lambda: None) -> str:
    """Take back all faults and wait for a whole fleet. "" if it is whole, else what is wrong."""
    take_back(settings)
    deadline_s = time.monotonic() + limits.HEAL_S_MAX
    pause = threading.Event()
    problem = problem_of(settings)
    while problem and time.monotonic() < deadline_s:
        keep_lease()
        pause.wait(LOOK_S)
        problem = problem_of(settings)
    return problem


def take_back(settings: Settings) -> None:
    """Continue every paused part and clear every switch, without waiting for the effect."""
    _resume(settings)
    client = FleetClient(settings)
    for node in range(settings.nodes):
        with contextlib.suppress(NodeUnreachable, OrderRefused):
            client.clear_faults(node, limits.FAULT_OWNER)
    changed_settings.put_back(settings)


def _resume(settings: Settings) -> None:
    book = pauses.read(settings.run)
    for name in book:
        try:
            ask(settings.run, "resume", {"name": name}, timeout_s=ASK_S_MAX)
        except Refused:
            continue
        except SupervisorAway:
            # Its timers died with it. The book says whom it stopped, the registry who that is.
            pauses.resume_expired(settings.run, now_ms=max(book.values()))
            return


def problem_of(settings: Settings) -> str:
    """What keeps the fleet from being whole; "" if nothing does."""
    statuses = FleetClient(settings).statuses()
    up = [status for status in statuses.values() if isinstance(status, NodeStatus)]
    if len(up) < len(statuses):
        silent = [f"node-{n}" for n, s in statuses.items() if not isinstance(s, NodeStatus)]
        return f"{', '.join(silent)} does not answer"
    if len({(status.leader, status.term) for status in up}) != 1 or up[0].leader is None:
        return "the nodes don't agree who leads"
    commit = max(status.commit_index for status in up)
    behind = [s.name for s in up if commit - s.applied_index > limits.LAG_ENTRIES_MAX]
    return f"{', '.join(behind)} is not caught up" if behind else ""
