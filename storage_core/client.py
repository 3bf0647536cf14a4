"""The store as seen from outside: the nodes' admin ports, for who shows them or gives orders.

A node may be dead, stopped or busy, and the page that asks must still come. So every call has a
deadline for all of it, all nodes are asked at once, and a node that doesn't answer in time, or
answers nonsense, is one NodeUnreachable with a sentence; it never keeps the others' answers back.
Invariant: a NodeStatus is complete, or there is none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, cast

from storage_core.admin_call import AdminPort
from storage_core.errors import NodeUnreachable, OrderRefused
from storage_core.orders import FaultState, Fence, Operation
from telemetry.config import Settings

__all__ = [
    "AccountStatus",
    "FaultState",
    "Fence",
    "FleetClient",
    "NodeStatus",
    "Operation",
    "PeerStatus",
]

STATUS_TIMEOUT_S: Final = 1.0
ORDER_TIMEOUT_S: Final = 5.0

ROLES: Final = frozenset({"leader", "follower", "candidate", "recovering"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """What a node knows of another. `match_index` and `lag_entries` are the leader's view."""

    match_index: int
    lag_entries: int
    is_connected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """One node's own account of itself. `leader` is None while it knows of none."""

    node: int
    role: str
    term: int
    leader: int | None
    commit_index: int
    applied_index: int
    last_index: int
    durable_index: int
    lease_ms: int
    elections: int
    uptime_s: float
    pid: int
    start_time_ticks: int
    boot_id: str
    version: str
    disk_free_bytes: int
    log_bytes: int
    segments_live: int
    segments_ready: int
    flush_p50_ms: float | None
    flush_p99_ms: float | None
    requests_read: int
    requests_write: int
    requests_failed: int
    is_in_front_door: bool
    peers: Mapping[int, PeerStatus]
    drained: bool = False
    """It neither leads nor campaigns."""
    follows_crash: bool = False

    @property
    def name(self) -> str:
        """The name that drills and profiles use."""
        return f"node-{self.node}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStatus:
    """An account. `ops_per_s` is what each node takes of its requests; None: no limit."""

    name: str
    created_ms: int
    ops_per_s: float | None


class FleetClient:
    """Asks the nodes of one fleet. Holds no connection, so it may be shared by threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._port = AdminPort(settings)

    def status(self, node: int, timeout_s: float = STATUS_TIMEOUT_S) -> NodeStatus:
        """One node's status. Raises NodeUnreachable."""
        answer = self._port.call(node, "GET", "/status", None, timeout_s)
        with _understood(node):
            status = decode_status(answer)
        if status.node != node:
            raise NodeUnreachable(f"node-{status.node} answers on the port of node-{node}")
        return status

    def statuses(
        self, timeout_s: float = STATUS_TIMEOUT_S
    ) -> dict[int, NodeStatus | NodeUnreachable]:
        """Every node's status or why there is none, all asked at once, within the time."""
        nodes = range(self._settings.nodes)
        pool = ThreadPoolExecutor(max_workers=max(1, len(nodes)), thread_name_prefix="fleet")
        try:
            asked = {node: pool.submit(self.status, node, timeout_s) for node in nodes}
            wait_for(asked.values(), timeout=timeout_s + 0.1)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        found: dict[int, NodeStatus | NodeUnreachable] = {}
        for node, future in asked.items():
            if not future.done() or future.cancelled():
                found[node] = NodeUnreachable(f"node-{node} did not answer within {timeout_s:g} s")
                continue
            try:
                found[node] = future.result()
            except NodeUnreachable as error:
                found[node] = error
        return found

    def transfer(
        self,
        to: int,
        *,
        fence: Fence | None = None,
        operation: Operation | None = None,
        timeout_s: float = ORDER_TIMEOUT_S,
    ) -> None:
        """Ask the leader (the one in `fence`, if given) to hand over to node `to`.

        Raises FenceRefused where somebody else leads by now, OperationRefused for a late attempt,
        OrderRefused where `to` can't take over; then nothing was done. Raises NodeUnreachable; then
        it is unknown whether the lead moves, and the nodes' status says so.
        """
        deadline = time.monotonic() + timeout_s
        if fence is not None:
            leader = fence.leader
        else:
            leader = self._leader(min(STATUS_TIMEOUT_S, timeout_s))
            if leader == to:
                return
        body = _order({"to": to}, fence=fence, operation=operation)
        self._port.call(leader, "POST", "/transfer", body, deadline - time.monotonic())

    def drain(
        self,
        node: int,
        on: bool,
        *,
        operation: Operation | None = None,
        timeout_s: float = ORDER_TIMEOUT_S,
    ) -> None:
        """Let `node` neither lead nor campaign (it votes and stores), or lead again. It survives
        restarts. A drained leader hands over by itself; its status says when it has. Raises
        OrderRefused where nobody would be left to lead, OperationRefused, NodeUnreachable.
        """
        if on:
            found = self.statuses(min(STATUS_TIMEOUT_S, timeout_s)).values()
            others = [s for s in found if isinstance(s, NodeStatus) and s.node != node]
            if all(status.drained for status in others):
                raise OrderRefused(f"without node-{node} no node that answers could lead")
        self._port.call(node, "POST", "/drain", _order({"on": on}, operation=operation), timeout_s)

    def raise_fence(
        self, node: int, run: int, step: str, attempt: int, *, timeout_s: float = ORDER_TIMEOUT_S
    ) -> bool:
        """Refuse attempts of (run, step) below `attempt` on `node` from now on, over its restarts.

        True if an attempt of it was carried out there before. Raises NodeUnreachable.
        """
        body = {"run": run, "step": step, "attempt": attempt}
        answer = self._port.call(node, "POST", "/fence", body, timeout_s)
        with _understood(node):
            return bool(answer["was_done"])

    # -- fault switches -------------------------------------------------------------------------

    def faults(self, node: int, timeout_s: float = STATUS_TIMEOUT_S) -> tuple[FaultState, ...]:
        """The switches that are on in `node`. Raises NodeUnreachable."""
        answer = self._port.call(node, "GET", "/faults", None, timeout_s)
        with _understood(node):
            return tuple(
                FaultState(
                    kind=_text(fault, "kind"),
                    params=_inner(fault, "params"),
                    owner=_text(fault, "owner"),
                    left_ms=_count(fault, "left_ms"),
                )
                for fault in _rows(answer, "faults")
            )

    def set_fault(
        self,
        node: int,
        kind: str,
        params: Mapping[str, object],
        *,
        ttl_ms: int,
        owner: str,
        timeout_s: float = STATUS_TIMEOUT_S,
    ) -> None:
        """Switch a fault on in `node` for `ttl_ms` (at most 60,000), or renew that of this owner.

        Raises DrillsForbidden, OrderRefused for what is out of bounds, NodeUnreachable.
        """
        body = {"kind": kind, "params": dict(params), "ttl_ms": ttl_ms, "owner": owner}
        self._port.call(node, "POST", "/faults", body, timeout_s)

    def clear_faults(
        self, node: int, owner: str | None = None, timeout_s: float = STATUS_TIMEOUT_S
    ) -> None:
        """Switch off what `owner` holds in `node`, or everything. Raises NodeUnreachable."""
        body = {} if owner is None else {"owner": owner}
        self._port.call(node, "DELETE", "/faults", body, timeout_s)

    # -- accounts -------------------------------------------------------------------------------

    def accounts(self, timeout_s: float = ORDER_TIMEOUT_S) -> tuple[AccountStatus, ...]:
        """All accounts, as the leader knows them. Raises NodeUnreachable."""
        leader = self._leader(min(STATUS_TIMEOUT_S, timeout_s))
        answer = self._port.call(leader, "GET", "/accounts", None, timeout_s)
        with _understood(leader):
            return tuple(
                AccountStatus(
                    name=_text(account, "name"),
                    created_ms=_count(account, "created_ms"),
                    ops_per_s=_number(account, "ops_per_s"),
                )
                for account in _rows(answer, "accounts")
            )

    def add_account(self, name: str, timeout_s: float = ORDER_TIMEOUT_S) -> str:
        """Make an account; its key in base64, which is shown this once.

        Raises OrderRefused for a name that is taken or not allowed, NodeUnreachable.
        """
        leader = self._leader(min(STATUS_TIMEOUT_S, timeout_s))
        answer = self._port.call(leader, "POST", "/accounts", {"name": name}, timeout_s)
        with _understood(leader):
            return _text(answer, "key")

    def throttle(
        self,
        account: str,
        *,
        ops_per_s: float | None,
        operation: Operation | None = None,
        timeout_s: float = ORDER_TIMEOUT_S,
    ) -> None:
        """Let each node take at most `ops_per_s` requests of `account`; None lifts the limit.

        Raises OrderRefused for an unknown account, OperationRefused, NodeUnreachable.
        """
        leader = self._leader(min(STATUS_TIMEOUT_S, timeout_s))
        body = _order({"account": account, "ops_per_s": ops_per_s}, operation=operation)
        self._port.call(leader, "POST", "/throttle", body, timeout_s)

    # -- effective settings ---------------------------------------------------------------------

    def configuration(self, node: int, timeout_s: float = STATUS_TIMEOUT_S) -> Mapping[str, int]:
        """The runtime settings that `node` goes by now. Raises NodeUnreachable."""
        answer = self._port.call(node, "GET", "/configuration", None, timeout_s)
        with _understood(node):
            settings = _inner(answer, "settings")
            return {name: _count(settings, name) for name in settings}

    def configure(
        self, node: int, name: str, value: int, timeout_s: float = STATUS_TIMEOUT_S
    ) -> None:
        """Change one of them until the node restarts.

        Raises OrderRefused for an unknown name or a value out of bounds, NodeUnreachable.
        """
        self._port.call(node, "POST", "/configuration", {"name": name, "value": value}, timeout_s)

    def _leader(self, timeout_s: float) -> int:
        found = self.statuses(timeout_s)
        leaders = [s for s in found.values() if isinstance(s, NodeStatus) and s.role == "leader"]
        if not leaders:
            raise NodeUnreachable("no node says that it leads")
        # After a partition an old leader may still think it leads; the higher term is right.
        return max(leaders, key=lambda status: status.term).node


@contextmanager
def _understood(node: int) -> Iterator[None]:
    """What can't be read in an answer makes its node unreachable."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NodeUnreachable(f"node-{node} answered nonsense: {error!r}") from error


def _order(
    body: dict[str, object], *, fence: Fence | None = None, operation: Operation | None = None
) -> dict[str, object]:
    if fence is not None:
        body["fence"] = fence.as_json()
    if operation is not None:
        body["operation"] = operation.as_json()
    return body


def decode_status(answer: Mapping[str, object]) -> NodeStatus:
    """The admin port's JSON as a value. Raises KeyError, TypeError or ValueError if it is not."""
    role = _text(answer, "role")
    if role not in ROLES:
        raise ValueError(f"role {role!r}")
    leader = answer["leader"]
    segments, flush = _inner(answer, "segments"), _inner(answer, "flush_ms")
    requests, peers = _inner(answer, "requests"), _inner(answer, "peers")
    return NodeStatus(
        node=_count(answer, "node"),
        role=role,
        term=_count(answer, "term"),
        leader=None if leader is None else _count(answer, "leader"),
        commit_index=_count(answer, "commit_index"),
        applied_index=_count(answer, "applied_index"),
        last_index=_count(answer, "last_index"),
        durable_index=_count(answer, "durable_index"),
        lease_ms=int(_number(answer, "lease_ms") or 0),
        elections=_count(answer, "elections"),
        uptime_s=_number(answer, "uptime_s") or 0.0,
        follows_crash=bool(answer.get("follows_crash")),
        pid=_count(answer, "pid"),
        start_time_ticks=_count(answer, "start_time_ticks"),
        boot_id=_text(answer, "boot_id"),
        version=_text(answer, "version"),
        disk_free_bytes=_count(answer, "disk_free_bytes"),
        log_bytes=_count(answer, "log_bytes"),
        segments_live=_count(segments, "live"),
        segments_ready=_count(segments, "ready"),
        flush_p50_ms=_number(flush, "p50"),
        flush_p99_ms=_number(flush, "p99"),
        requests_read=_count(requests, "read"),
        requests_write=_count(requests, "write"),
        requests_failed=_count(requests, "failed"),
        is_in_front_door=bool(answer["front_door"]),
        peers={int(name): _peer(_inner(peers, name)) for name in peers},
        drained=bool(answer.get("drained", False)),
    )


def _peer(peer: Mapping[str, object]) -> PeerStatus:
    return PeerStatus(
        match_index=int(_number(peer, "match_index") or 0),
        lag_entries=int(_number(peer, "lag_entries") or 0),
        is_connected=bool(peer["connected"]),
    )


def _count(answer: Mapping[str, object], name: str) -> int:
    value = answer[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}")
    return value


def _number(answer: Mapping[str, object], name: str) -> float | None:
    value = answer[name]
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError(f"{name} is {value!r}")
    return None if value is None else float(value)


def _text(answer: Mapping[str, object], name: str) -> str:
    value = answer[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}")
    return value


def _rows(answer: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    value = answer[name]
    if not isinstance(value, list):
        raise TypeError(f"{name} is {value!r}")
    return [_inner({name: row}, name) for row in value]


def _inner(answer: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = answer[name]
    if not isinstance(value, dict):
        raise TypeError(f"{name} is {value!r}")
    return cast("dict[str, object]", value)
