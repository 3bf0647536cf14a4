"""What a runbook's expressions know: parameters, earlier outputs, and the fleet as it is now.

The fleet is asked only if an expression names it, once for each look, and a node that doesn't
answer is a fact too (`answers` is False), not an error. A fact that nobody told is left out, so
that an expression which needs it can't tell, rather than being false.

Under `fleet`: `leader` (None while there is none), `term`, `answering`, `quorum_margin` (nodes that
may fail before writes stop), `best_follower` and `best_follower_lag` (the follower nearest to the
leader, never the target), `farthest_lag`, `followers.first` and `.second` (by number), `youngest`
(by uptime), `target` and `nodes` (what each node said of itself, and as `process` the number of the
process that the supervisor knows it by, which also a node that hangs has).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from django.conf import settings

from runbooks.engine.plan import JsonObject
from storage_core.client import FleetClient, NodeStatus
from storage_core.errors import NodeUnreachable
from storage_core.fleet.registry import read_registry
from telemetry.config import Settings

LOOK_TIMEOUT_S = 1.0

NEAR_ENTRIES = 100
"""Followers no further behind than this are equally near: which of them is chosen must not change
from one look to the next while somebody reads the plan."""

Statuses = Mapping[int, NodeStatus | NodeUnreachable]


class Surroundings(Mapping[str, object]):
    """Known facts, and `fleet`, which is looked at when first asked for."""

    def __init__(self, known: Mapping[str, object], look: Callable[[], JsonObject]) -> None:
        self._known = dict(known)
        self._look = look

    def __getitem__(self, name: str) -> object:
        if name == "fleet" and "fleet" not in self._known:
            self._known["fleet"] = self._look()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        yield from {**self._known, "fleet": None}

    def __len__(self) -> int:
        return len(self._known.keys() | {"fleet"})

    def __contains__(self, name: object) -> bool:
        return name == "fleet" or name in self._known


def look(target: str, *, house: Settings | None = None) -> JsonObject:
    """The fleet now, as seen from a run on `target`. Never raises for a node's sake."""
    house = house or settings.HOLDFAST
    statuses = FleetClient(house).statuses(LOOK_TIMEOUT_S)
    return of_statuses(statuses, target, processes=_processes(house))


def of_statuses(
    statuses: Statuses, target: str, *, processes: Mapping[str, int] | None = None
) -> JsonObject:
    """The facts in what the nodes said, and in the supervisor's registry. Pure."""
    heard = {n: s for n, s in statuses.items() if isinstance(s, NodeStatus)}
    leaders = [status for status in heard.values() if status.role == "leader"]
    # After a partition an old leader may still think it leads; the higher term is right.
    leader = max(leaders, key=lambda status: status.term, default=None)
    nodes = {f"node-{n}": _node(heard.get(n), leader) for n in statuses}
    for name, process in (processes or {}).items():
        if name in nodes:
            nodes[name]["process"] = process
    candidates = [
        (lag if lag > NEAR_ENTRIES else 0, f"node-{n}", lag)
        for n, status in heard.items()
        if status.role == "follower" and f"node-{n}" != target and not status.drained
        for lag in [_lag(status, leader)]
        if lag is not None
    ]
    best = min(candidates, default=None)
    facts: JsonObject = {
        "leader": leader.name if leader is not None else None,
        "answering": len(heard),
        "quorum_margin": len(heard) - (len(statuses) // 2 + 1),
        "nodes": nodes,
    }
    if leader is not None:
        facts["term"] = leader.term
        lags = [lag for s in heard.values() if (lag := _lag(s, leader)) is not None]
        facts["farthest_lag"] = max(lags)
    followers = sorted(status.name for status in heard.values() if status.role == "follower")
    facts["followers"] = dict(zip(("first", "second"), followers, strict=False))
    if heard:
        facts["youngest"] = min(heard.values(), key=lambda status: status.uptime_s).name
    if best is not None:
        facts |= {"best_follower": best[1], "best_follower_lag": best[2]}
    if target in nodes:
        facts["target"] = nodes[target]
    return facts


def number_of(node: object) -> int:
    """`node-1` is 1. Raises ValueError for what is no node's name."""
    name = str(node)
    if not name.startswith("node-") or not name[5:].isdecimal():
        raise ValueError(f"{name!r} is no node; expected a name such as node-1")
    return int(name[5:])


def _processes(house: Settings) -> Mapping[str, int]:
    """The processes of parts that run, by name; empty while no supervisor keeps a registry."""
    records = read_registry(house.run / "registry.json").values()
    return {record.name: record.identity.pid for record in records if record.identity is not None}


def _node(status: NodeStatus | None, leader: NodeStatus | None) -> JsonObject:
    if status is None:
        return {"answers": False}
    told: JsonObject = {
        "answers": True,
        "role": status.role,
        "term": status.term,
        "leads": leader is not None and leader.node == status.node,
        "drained": status.drained,
        "pid": status.pid,
        "uptime_s": status.uptime_s,
        "in_front_door": status.is_in_front_door,
        "flush_p99_ms": status.flush_p99_ms,
        "disk_free_bytes": status.disk_free_bytes,
    }
    lag = _lag(status, leader)
    return told if lag is None else told | {"lag": lag}


def _lag(status: NodeStatus, leader: NodeStatus | None) -> int | None:
    """Entries behind the leader; None while nobody leads."""
    return None if leader is None else max(0, leader.last_index - status.durable_index)
