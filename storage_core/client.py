"""The store as seen from outside: the nodes' admin ports, for who shows them or moves the lead.

A node may be dead, stopped or busy, and the page that asks must still come. So every call has a
deadline for all of it, all nodes are asked at once, and a node that doesn't answer in time, or
answers nonsense, is one NodeUnreachable with a sentence; it never keeps the others' answers back.
Invariant: a NodeStatus is complete, or there is none.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from typing import Final, cast

from storage_core.errors import NodeUnreachable
from telemetry.config import Settings, read_secret

STATUS_TIMEOUT_S: Final = 1.0
ANSWER_BYTES_MAX: Final = 256 * 1024
"""A status is about 1 KiB; more than this is not a node."""

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

    @property
    def name(self) -> str:
        """The name that drills and profiles use."""
        return f"node-{self.node}"


class FleetClient:
    """Asks the nodes of one fleet. Holds no connection, so it may be shared by threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def status(self, node: int, timeout_s: float = STATUS_TIMEOUT_S) -> NodeStatus:
        """One node's status. Raises NodeUnreachable."""
        answer = self._call(node, "GET", "/status", None, timeout_s)
        try:
            status = decode_status(answer)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NodeUnreachable(f"node-{node} answered no status: {error!r}") from error
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

    def transfer(self, to: int, timeout_s: float = 5.0) -> None:
        """Ask the leader to hand over to node `to`. Raises NodeUnreachable; then it is unknown
        whether the lead moves, and the nodes' status says so.
        """
        deadline = time.monotonic() + timeout_s
        found = self.statuses(min(STATUS_TIMEOUT_S, timeout_s))
        leaders = [s for s in found.values() if isinstance(s, NodeStatus) and s.role == "leader"]
        if not leaders:
            raise NodeUnreachable("no node says that it leads")
        # After a partition an old leader may still think it leads; the higher term is right.
        leader = max(leaders, key=lambda status: status.term)
        if leader.node == to:
            return
        self._call(leader.node, "POST", "/transfer", {"to": to}, deadline - time.monotonic())

    def _call(
        self,
        node: int,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        timeout_s: float,
    ) -> dict[str, object]:
        deadline = time.monotonic() + timeout_s
        token = read_secret(self._settings.secrets / "admin.token")
        headers = {"Authorization": f"Bearer {token}", "Connection": "close"}
        payload = None if body is None else json.dumps(body).encode()
        if payload is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._settings.admin_port(node), timeout=max(0.01, timeout_s)
        )
        try:
            connection.request(method, path, body=payload, headers=headers)
            _spend(connection.sock, deadline)
            response = connection.getresponse()
            data = _read(response, connection, deadline)
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise NodeUnreachable(f"node-{node} does not answer: {reason}") from error
        finally:
            connection.close()
        if response.status not in (200, 202, 204):
            raise NodeUnreachable(f"node-{node} refused {path}: {response.status} {_start(data)}")
        return _object(node, data) if data else {}


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


def _inner(answer: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = answer[name]
    if not isinstance(value, dict):
        raise TypeError(f"{name} is {value!r}")
    return cast("dict[str, object]", value)


def _spend(sock: socket.socket | None, deadline: float) -> None:
    """Leave the socket only the time that is left. http.client may have dropped it already."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("timed out")
    if sock is not None:
        sock.settimeout(left_s)


def _read(
    response: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline: float
) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read1(65_536):
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            raise http.client.HTTPException(f"answer over {ANSWER_BYTES_MAX} bytes")
        _spend(connection.sock, deadline)
    return b"".join(parts)


def _object(node: int, data: bytes) -> dict[str, object]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise NodeUnreachable(f"node-{node} answered no JSON: {_start(data)}") from error
    if not isinstance(value, dict):
        raise NodeUnreachable(f"node-{node} answered {_start(data)}")
    return cast("dict[str, object]", value)


def _start(data: bytes) -> str:
    return data[:120].decode("utf-8", "replace").strip()
