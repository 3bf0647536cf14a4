"""Making a fault and taking it back, one class a way of doing it.

Every fault is a lease in whoever makes it, renewed while the drill lives: the supervisor ends a
pause by its own timer, a node ends its switches by its own clock. A killed process is the exception
that needs none, since the supervisor starts it again. All calls block, and are made off the loop.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from runbooks.drills import changed_settings, cures, limits
from runbooks.drills.cures import NOTHING, Cure
from runbooks.drills.scenarios import Scenario
from storage_core.client import FleetClient
from storage_core.errors import NodeUnreachable, OrderRefused
from storage_core.fleet.client import Refused, SupervisorAway, ask
from storage_core.fleet.linux import Identity
from storage_core.fleet.registry import read_registry
from telemetry.config import Settings, read_secret

ROOT = Path(__file__).resolve().parents[2]
ASK_S_MAX = 3.0
FLOOD_MORE_S = 60.0
"""A flood ends by itself this long after its time; its drill ends it before."""

UNHEARD_S_MAX = 3 * limits.FAULT_LEASE_MS / 1000


class CannotInject(Exception):
    """The fault could not be made; the text says why, and nothing was broken."""


class Injector(Protocol):
    """`begin` and `end` once each, `cure` and `renew` in between, each within ASK_S_MAX."""

    def begin(self) -> None:
        """Make the fault. Raises CannotInject."""

    def renew(self) -> None:
        """Keep it up for another lease. Raises CannotInject where it can't be kept."""

    def cure(self) -> Cure:
        """What somebody did about it meanwhile; asked before each renewal."""

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

    def cure(self) -> Cure:
        return NOTHING

    def end(self) -> None:
        with contextlib.suppress(CannotInject):
            _ask(self._settings, "start", {"name": self._name})


class PausedPart:
    """SIGSTOP under the supervisor's lease."""

    def __init__(self, settings: Settings, node: int) -> None:
        self._settings = settings
        self._name = f"node-{node}"
        self._paused = self._process()

    def begin(self) -> None:
        self.renew()

    def renew(self) -> None:
        _ask(self._settings, "pause", {"name": self._name, "ttl_ms": limits.FAULT_LEASE_MS})

    def cure(self) -> Cure:
        """Another process stands in its place. It must not be stopped, too."""
        now = self._process()
        if now is None or now == self._paused:
            return NOTHING
        return Cure(text=f"{self._name} was restarted", is_gone=True)

    def _process(self) -> Identity | None:
        record = read_registry(self._settings.run / "registry.json").get(self._name)
        return None if record is None else record.identity

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
        self._renewed_s = 0.0
        if kind == "isolate":
            self._params["peers"] = [n for n in range(settings.nodes) if n != node]

    def begin(self) -> None:
        try:
            self._set()
        except NodeUnreachable as error:
            raise CannotInject(str(error)) from error

    def renew(self) -> None:
        """A node that is too busy to answer is asked again; it may be so because of the fault."""
        try:
            self._set()
        except NodeUnreachable as error:
            if time.monotonic() - self._renewed_s > UNHEARD_S_MAX:
                raise CannotInject(f"the fault can't be held: {error}") from error

    def cure(self) -> Cure:
        """The switch is off though its lease lasts, or the node was taken out of the lead."""
        try:
            faults = self._client.faults(self._node, ASK_S_MAX)
        except NodeUnreachable:
            return NOTHING
        ours = [f for f in faults if (f.kind, f.owner) == (self._kind, limits.FAULT_OWNER)]
        if ours:
            return cures.drained(self._client, self._node, ASK_S_MAX)
        if time.monotonic() - self._renewed_s > limits.FAULT_LEASE_MS / 1000:
            return NOTHING  # Nobody took it away: it could not be renewed in time.
        return Cure(text=f"node-{self._node} was restarted or its fault cleared", is_gone=True)

    def _set(self) -> None:
        asked_s = time.monotonic()
        try:
            self._client.set_fault(
                self._node,
                self._kind,
                self._params,
                ttl_ms=limits.FAULT_LEASE_MS,
                owner=limits.FAULT_OWNER,
                timeout_s=ASK_S_MAX,
            )
        except OrderRefused as error:
            raise CannotInject(str(error)) from error
        self._renewed_s = asked_s

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

    def cure(self) -> Cure:
        """Any of them has another value by now."""
        client = FleetClient(self._settings)
        try:
            now = client.configuration(self._node, ASK_S_MAX)
        except NodeUnreachable:
            return NOTHING
        if any(now.get(name) != value for name, value in self._worse.items()):
            return Cure(text=f"the setting of node-{self._node} was changed back", is_gone=True)
        return cures.drained(client, self._node, ASK_S_MAX)

    def end(self) -> None:
        changed_settings.put_back(self._settings)


class Flood:
    """A second account that writes as fast as it can, from a process that ends with this one."""

    def __init__(self, settings: Settings, *, hold_s: float) -> None:
        self._settings = settings
        self._hold_s = hold_s
        self._child: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        key = self._key()
        self._lift_limit()
        self._child = subprocess.Popen(
            [
                *(sys.executable, "-m", "runbooks.drills.flood"),
                *(str(self._settings.blob_port), limits.NOISY_TENANT),
                str(self._hold_s + FLOOD_MORE_S),
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

    def cure(self) -> Cure:
        return cures.throttled(FleetClient(self._settings), ASK_S_MAX)

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

    def _lift_limit(self) -> None:
        """What cured the last drill must not hide this one."""
        client = FleetClient(self._settings)
        try:
            if cures.throttled(client, ASK_S_MAX).text:
                client.throttle(limits.NOISY_TENANT, ops_per_s=None, timeout_s=ASK_S_MAX)
        except (NodeUnreachable, OrderRefused) as error:
            raise CannotInject(f"the tenant's old limit stays: {error}") from error

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


def injector_of(scenario: Scenario, settings: Settings, node: int, *, hold_s: float) -> Injector:
    """The way to make this scenario's fault on this node; it is to stand for `hold_s`."""
    if scenario.switch:
        return Switch(settings, node, scenario.switch, scenario.params)
    make: Mapping[str, Callable[[], Injector]] = {
        "failover-leader": lambda: KilledPart(settings, node),
        "pause-leader": lambda: PausedPart(settings, node),
        "noisy-tenant": lambda: Flood(settings, hold_s=hold_s),
        "bad-config": lambda: ChangedSetting(settings, node, scenario.params),
    }
    return make[scenario.name]()


def _ask(settings: Settings, op: str, fields: dict[str, str | int]) -> None:
    try:
        ask(settings.run, op, fields, timeout_s=ASK_S_MAX)
    except (SupervisorAway, Refused) as error:
        raise CannotInject(str(error)) from error
