"""Fault switches as leases: what may be switched on, how far, for how long, and who holds it.

A fault that outlives the drill that made it is an outage that we caused. So each switch is a lease
in the target itself: whoever set it must renew it, and when it doesn't, the switch ends, whatever
became of the drill, its network or its machine. Kinds and bounds are this table; several owners
may hold the same kind, and then the strongest counts.

What always holds: after `until_ms` a switch is off; no parameter and no lease exceeds its bound.
Pure: `now_ms` is monotonic and handed in.

Read next: `faults`, which makes them felt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from storage_core.orders import BadOrder, FaultState, choice, number, whole

FSYNC_STALL = "fsync-stall"
ISOLATE = "isolate"
CPU_HOG = "cpu-hog"
LOOP_BLOCK = "loop-block"

TTL_MS_MIN = 100
TTL_MS_MAX = 60_000
"""Of one renewal: long enough for a slow drill, short enough to be waited out."""
LEASES_MAX = 32
DELAY_MS_MAX = 5_000
SHARE_MIN, SHARE_MAX = 0.05, 8.0
BLOCK_MS_MAX = 2_000
EVERY_MS_MAX = 60_000
NODE_MAX = 9
BOTH, IN, OUT = "both", "in", "out"

Params = Mapping[str, Any]


def _fsync_stall(params: Params) -> dict[str, Any]:
    """Each flush of the log takes `delay_ms` longer."""
    return {"delay_ms": whole(params, "delay_ms", 1, DELAY_MS_MAX)}


def _isolate(params: Params) -> dict[str, Any]:
    """No frame passes to (`out`), from (`in`), or to and from (`both`) these peers."""
    peers = params.get("peers")
    if (
        not isinstance(peers, list | tuple)
        or not 0 < len(peers) <= NODE_MAX
        or any(type(peer) is not int or not 0 <= peer <= NODE_MAX for peer in peers)
    ):
        raise BadOrder(f"peers: must be 1 to {NODE_MAX} numbers of nodes")
    direction = choice({"direction": BOTH, **params}, "direction", (BOTH, IN, OUT))
    return {"peers": sorted(set(peers)), "direction": direction}


def _cpu_hog(params: Params) -> dict[str, Any]:
    """Threads of the node's own process want the time of `share` cores."""
    return {"share": number(params, "share", SHARE_MIN, SHARE_MAX)}


def _loop_block(params: Params) -> dict[str, Any]:
    """The event loop stands still for `block_ms`, every `every_ms`."""
    block_ms = whole(params, "block_ms", 1, BLOCK_MS_MAX)
    return {"block_ms": block_ms, "every_ms": whole(params, "every_ms", block_ms, EVERY_MS_MAX)}


_CHECKS: dict[str, tuple[Callable[[Params], dict[str, Any]], frozenset[str]]] = {
    FSYNC_STALL: (_fsync_stall, frozenset({"delay_ms"})),
    ISOLATE: (_isolate, frozenset({"peers", "direction"})),
    CPU_HOG: (_cpu_hog, frozenset({"share"})),
    LOOP_BLOCK: (_loop_block, frozenset({"block_ms", "every_ms"})),
}
KINDS = tuple(_CHECKS)


def checked(kind: str, params: object) -> dict[str, Any]:
    """The parameters of `kind`, complete and within bounds. Raises BadOrder."""
    if kind not in _CHECKS:
        raise BadOrder(f"kind: must be one of {', '.join(KINDS)}")
    if not isinstance(params, Mapping):
        raise BadOrder("params: must be an object")
    check, known = _CHECKS[kind]
    for name in params:
        if name not in known:
            raise BadOrder(f"params.{name}: {kind} takes {', '.join(sorted(known))}")
    return check(params)


class _Lease(NamedTuple):
    params: dict[str, Any]
    until_ms: int


class Leases:
    """All switches of one node, by (kind, owner)."""

    def __init__(self) -> None:
        self._leases: dict[tuple[str, str], _Lease] = {}

    def renew(
        self, kind: str, owner: str, params: dict[str, Any], *, ttl_ms: int, now_ms: int
    ) -> None:
        """Set, or set anew, until `ttl_ms` from now. `params` are checked. Raises BadOrder."""
        assert TTL_MS_MIN <= ttl_ms <= TTL_MS_MAX, ttl_ms
        self.expire(now_ms)
        if (kind, owner) not in self._leases and len(self._leases) >= LEASES_MAX:
            raise BadOrder(f"owner: {LEASES_MAX} switches are on already")
        self._leases[kind, owner] = _Lease(params, now_ms + ttl_ms)

    def clear(self, owner: str | None) -> None:
        """End those of `owner`, or all."""
        for key in [key for key in self._leases if owner is None or key[1] == owner]:
            del self._leases[key]

    def expire(self, now_ms: int) -> None:
        """Forget what has ended."""
        for key in [key for key, lease in self._leases.items() if lease.until_ms <= now_ms]:
            del self._leases[key]

    def next_end_ms(self) -> int | None:
        """When the first of them ends; None if none is on."""
        return min((lease.until_ms for lease in self._leases.values()), default=None)

    def states(self, now_ms: int) -> tuple[FaultState, ...]:
        """What is on, by kind and owner."""
        return tuple(
            FaultState(kind, lease.params, owner, lease.until_ms - now_ms)
            for (kind, owner), lease in sorted(self._leases.items())
            if lease.until_ms > now_ms
        )

    def of(self, kind: str, now_ms: int) -> list[dict[str, Any]]:
        """Parameters of the switches of one kind that are on."""
        return [
            lease.params
            for (known, _), lease in self._leases.items()
            if known == kind and lease.until_ms > now_ms
        ]

    def delay_ms(self, now_ms: int) -> int:
        """How much longer a flush takes; 0: no switch is on."""
        return max((params["delay_ms"] for params in self.of(FSYNC_STALL, now_ms)), default=0)

    def cut(self, direction: str, now_ms: int) -> frozenset[int]:
        """Peers that nothing passes to (OUT) or from (IN)."""
        return frozenset(
            peer
            for params in self.of(ISOLATE, now_ms)
            if params["direction"] in (BOTH, direction)
            for peer in params["peers"]
        )

    def share(self, now_ms: int) -> float:
        """Cores that are wanted for nothing."""
        return max((params["share"] for params in self.of(CPU_HOG, now_ms)), default=0.0)

    def block_ms(self, now_ms: int) -> tuple[int, int]:
        """(how long, how often) the loop stands still; (0, 0): it doesn't."""
        found = [(p["block_ms"], p["every_ms"]) for p in self.of(LOOP_BLOCK, now_ms)]
        return max(found, default=(0, 0), key=lambda pair: pair[0] / pair[1] if pair[1] else 0)
