"""Making a fault and taking it back, one class a way of doing it.

Every fault is a lease in whoever makes it, renewed while the drill lives: the supervisor ends a
pause by its own timer, a node ends its switches by its own clock. A killed process is the exception
that needs none, since the supervisor starts it again. All calls block, and are made off the loop.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from runbooks.drills import changed_settings, limits
from runbooks.drills.scenarios import Scenario
from storage_core.client import FleetClient
from storage_core.errors import NodeUnreachable, OrderRefused
from storage_core.fleet.client import Refused, SupervisorAway, ask
from telemetry.config import Settings, read_secret

ROOT = Path(__file__).resolve().parents[2]
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


class Switch:
    """A fault switch inside the node, which ends it by its own clock."""

    def __init__(
        self, settings: Settings, node: int, kind: str, params: Mapping[str, object]
    ) -> None:
        self._client = FleetClient(settings)
        self._node = node
        self._kind = kind
        self._params = dict(params)
        if kind == "isolate":
            self._params["peers"] = [n for n in range(settings.nodes) if n != node]

    def begin(self) -> None:
        self.renew()

    def renew(self) -> None:
        try:
            self._client.set_fault(
                self._node,
                self._kind,
                self._params,
                ttl_ms=limits.FAULT_LEASE_MS,
                owner=limits.FAULT_OWNER,
                timeout_s=ASK_S_MAX,
            )
        except (NodeUnreachable, OrderRefused) as error:
            raise CannotInject(str(error)) from error

    def end(self) -> None:
        with contextlib.suppress(NodeUnreachable, OrderRefused):
            self._client.clear_faults(self._node, limits.FAULT_OWNER, timeout_s=ASK_S_MAX)


class ChangedSetting:
    """Settings of a node changed for the worse. What they were is written down first, so that
    anybody can put them back; a restart of the node does so, too.
    """

    def __init__(self, settings: Settings, node: int, worse: Mapping[str, object]) -> None:
        self._settings = settings
        self._node = node
        self._worse = {name: int(str(value)) for name, value in worse.items()}

    def begin(self) -> None:
        client = FleetClient(self._settings)
        try:
            now = client.configuration(self._node, timeout_s=ASK_S_MAX)
            before = {name: now[name] for name in self._worse}
            changed_settings.note(self._settings.run, self._node, before)
            for name, value in self._worse.items():
                client.configure(self._node, name, value, timeout_s=ASK_S_MAX)
        except (NodeUnreachable, OrderRefused, KeyError) as error:
            changed_settings.put_back(self._settings)
            raise CannotInject(str(error)) from error

    def renew(self) -> None:
        return

    def end(self) -> None:
        changed_settings.put_back(self._settings)


class Flood:
    """A second account that writes as fast as it can, from a process that ends with this one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        key = self._key()
        self._child = subprocess.Popen(
            [
                *(sys.executable, "-m", "runbooks.drills.flood"),
                *(str(self._settings.blob_port), limits.NOISY_TENANT),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
        )
        assert self._child.stdin is not None, "made with a pipe"
        self._child.stdin.write(key.encode() + b"\n")
        self._child.stdin.flush()

    def renew(self) -> None:
        if self._child is None or self._child.poll() is not None:
            raise CannotInject("the flooding tenant ended by itself")

    def end(self) -> None:
        if self._child is None:
            return
        assert self._child.stdin is not None, "made with a pipe"
        with contextlib.suppress(OSError):
            self._child.stdin.close()
        try:
            self._child.wait(ASK_S_MAX)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _key(self) -> str:
        """The tenant's key, made on the first drill and kept with the other secrets."""
        path = self._settings.secrets / f"tenant-{limits.NOISY_TENANT}.key"
        known = read_secret(path)
        if known:
            return known
        try:
            key = FleetClient(self._settings).add_account(limits.NOISY_TENANT)
        except (NodeUnreachable, OrderRefused) as error:
            raise CannotInject(f"no second account: {error}") from error
        path.touch(mode=0o600)
        path.write_text(key + "\n", encoding="ascii")
        return key


def injector_of(scenario: Scenario, settings: Settings, node: int) -> Injector:
    """The way to make this scenario's fault on this node."""
    if scenario.switch:
        return Switch(settings, node, scenario.switch, scenario.params)
    make: Mapping[str, Callable[[], Injector]] = {
        "failover-leader": lambda: KilledPart(settings, node),
        "pause-leader": lambda: PausedPart(settings, node),
        "noisy-tenant": lambda: Flood(settings),
        "bad-config": lambda: ChangedSetting(settings, node, scenario.params),
    }
    return make[scenario.name]()


def _ask(settings: Settings, op: str, fields: dict[str, str | int]) -> None:
    try:
        ask(settings.run, op, fields, timeout_s=ASK_S_MAX)
    except (SupervisorAway, Refused) as error:
        raise CannotInject(str(error)) from error
