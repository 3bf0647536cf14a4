"""Making a fault and taking it back, one class a way of doing it.

Every fault is a lease in whoever makes it, renewed while the drill lives: the supervisor ends a
pause by its own timer, a node ends its switches by its own clock. A killed process is the exception
that needs none, since the supervisor starts it again. All calls block, and are made off the loop.
"""

from __future__ import annotations

import contextlib
from typing import Protocol

from runbooks.drills import limits
from runbooks.drills.scenarios import Scenario
from storage_core.fleet.client import Refused, SupervisorAway, ask
from telemetry.config import Settings

ASK_S_MAX = 3.0


class CannotInject(Exception):
    """The fault could not be made; the text says why, and nothing was broken."""


class Injector(Protocol):
    """`begin` and `end` once each, `renew` in between, each within ASK_S_MAX."""

    def begin(self) -> None:
        """Make the fault. Raises CannotInject."""

    def renew(self) -> None:
        """Keep it up for another lease. Raises CannotInject where it can't be kept."""

    def end(self) -> None:
        """Take it back; never raises, since the lease ends it all the same."""


class KilledPart:
    """kill -9 by the supervisor, which starts the part again at once."""

    def __init__(self, settings: Settings, node: int) -> None:
        self._settings = settings
        self._name = f"node-{node}"

    def begin(self) -> None:
        _ask(self._settings, "kill", {"name": self._name})

    def renew(self) -> None:
        return

    def end(self) -> None:
        with contextlib.suppress(CannotInject):
            _ask(self._settings, "start", {"name": self._name})


class PausedPart:
    """SIGSTOP under the supervisor's lease."""

    def __init__(self, settings: Settings, node: int) -> None:
        self._settings = settings
        self._name = f"node-{node}"

    def begin(self) -> None:
        self.renew()

    def renew(self) -> None:
        _ask(self._settings, "pause", {"name": self._name, "ttl_ms": limits.FAULT_LEASE_MS})

    def end(self) -> None:
        with contextlib.suppress(CannotInject):
            _ask(self._settings, "resume", {"name": self._name})


def injector_of(scenario: Scenario, settings: Settings, node: int) -> Injector:
    """The way to make this scenario's fault on this node. Raises CannotInject if there is none."""
    if scenario.name == "failover-leader":
        return KilledPart(settings, node)
    if scenario.name == "pause-leader":
        return PausedPart(settings, node)
    raise CannotInject(f"this release has no way to make {scenario.name}")


def _ask(settings: Settings, op: str, fields: dict[str, str | int]) -> None:
    try:
        ask(settings.run, op, fields, timeout_s=ASK_S_MAX)
    except (SupervisorAway, Refused) as error:
        raise CannotInject(str(error)) from error
