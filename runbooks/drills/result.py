"""What a drill proved, from its history: recovery times, losses, consistency, one verdict. Pure.

Safety comes first: a drill that lost nothing but was slow is *slow*; one that was quick and lost
something has failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.drills import limits
from runbooks.drills.history import Operation
from runbooks.drills.linearizability import Consistency, ConsistencyVerdict, check, seen_last
from runbooks.drills.measure import (
    Calm,
    Missing,
    calm_of,
    longest_wait_ms,
    missing_writes,
    outage,
)

DOOR = "door"
SDK = "sdk"
READ_BACK = "read-back"
MISSING_SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How long one door was out, in ms. `ms` None: it was not back before the end. Where it never
    was out, `ms` is the longest wait just after the fault.
    """

    path: str
    was_out: bool
    ms: float | None

    def as_json(self) -> dict[str, object]:
        return {"path": self.path, "was_out": self.was_out, "ms": self.ms}


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that the histories say."""

    writes: tuple[Recovery, ...]
    reads: tuple[Recovery, ...]
    calm: Calm
    acknowledged: int
    acknowledged_bytes: int
    read_back: int
    missing: tuple[Missing, ...]
    consistency: Consistency


def findings(
    operations: Sequence[Operation],
    sdk: Sequence[Operation],
    *,
    fault_us: int,
    nodes: Sequence[str],
) -> Findings:
    """Measure and check. The consistency check is the long part: seconds for a bad history."""
    probes = [op for op in operations if op.path != READ_BACK]
    calm = calm_of(probes, before_us=fault_us)
    sdk_calm = calm_of(sdk, before_us=fault_us)
    changes = [op for op in probes if op.is_change]
    looks = [op for op in probes if not op.is_change]
    acknowledged = [op for op in changes if op.is_ok]
    seen = seen_last(op for op in operations if op.path == READ_BACK)
    paths = (*nodes, DOOR)
    return Findings(
        writes=(
            *(_recovery(changes, path, fault_us=fault_us, calm=calm) for path in paths),
            _recovery(sdk, SDK, fault_us=fault_us, calm=sdk_calm),
        ),
        reads=tuple(_recovery(looks, path, fault_us=fault_us, calm=calm) for path in paths),
        calm=calm,
        acknowledged=len(acknowledged),
        acknowledged_bytes=sum(op.size_bytes for op in acknowledged),
        read_back=sum(1 for op in acknowledged if op.key in seen),
        missing=tuple(missing_writes(acknowledged, seen)),
        consistency=check(
            operations,
            steps_max=limits.SEARCH_STEPS_MAX,
            unknown_share_max=limits.UNKNOWN_SHARE_MAX,
        ),
    )


def core_of(recoveries: Sequence[Recovery], *, target: str) -> Recovery:
    """The slowest of the nodes that were not hit: when the store as such was back."""
    others = [each for each in recoveries if each.path not in (target, DOOR, SDK)]
    assert others, "a drill needs a node that is not its target"
    out = [each for each in others if each.was_out]
    return max(out or others, key=lambda each: float("inf") if each.ms is None else each.ms)


def verdict_of(found: Findings, *, target: str, target_ms: int) -> tuple[str, str]:
    """(verdict, reason). `target` is the node that was hit, `target_ms` what recovery may take."""
    consistency = found.consistency
    if consistency.verdict is ConsistencyVerdict.VIOLATED:
        return "violated", consistency.sentence
    if found.missing:
        return "lost", f"{len(found.missing)} of {found.acknowledged} acknowledged writes missing"
    if consistency.verdict is ConsistencyVerdict.UNDECIDED:
        return "undecided", consistency.sentence
    core = core_of(found.writes, target=target)
    if core.ms is None:
        return "slow", "writes were not back before the drill ended"
    if core.ms > target_ms:
        return (
            "slow",
            f"writes were back after {core.ms:.0f} ms, target {target_ms} ms",
        )
    return "passed", ""


def numbers_of(
    found: Findings, *, target: str, target_ms: int, check_s: float
) -> dict[str, object]:
    """The figures as they are stored and shown."""
    consistency = found.consistency
    by_path = {each.path: each for each in found.writes}
    return {
        "rto": {
            "core": core_of(found.writes, target=target).as_json(),
            "door": by_path[DOOR].as_json(),
            "sdk": by_path[SDK].as_json(),
            "reads": core_of(found.reads, target=target).as_json(),
            "target_ms": target_ms,
            "paths": [each.as_json() for each in found.writes],
        },
        "rpo": {
            "acknowledged": found.acknowledged,
            "acknowledged_bytes": found.acknowledged_bytes,
            "read_back": found.read_back,
            "missing": len(found.missing),
            "missing_bytes": sum(each.operation.size_bytes for each in found.missing),
            "first_missing": [_missing_json(each) for each in found.missing[:MISSING_SHOWN]],
        },
        "consistency": {
            "verdict": consistency.verdict.value,
            "operations": consistency.operations,
            "unknown": consistency.unknown,
            "keys": consistency.keys,
            "searched": consistency.searched,
            "seconds": round(check_s, 2),
            "sentence": consistency.sentence,
            "culprit": consistency.culprit,
            "counterexample": [_operation_json(op) for op in consistency.counterexample],
        },
        "calm_p50_ms": round(found.calm.p50_us / 1000, 2),
    }


def _recovery(operations: Sequence[Operation], path: str, *, fault_us: int, calm: Calm) -> Recovery:
    seen = outage([op for op in operations if op.path == path], fault_us=fault_us, calm=calm)
    if seen is None:
        own = [op for op in operations if op.path == path and op.was_served]
        return Recovery(path=path, was_out=False, ms=longest_wait_ms(own, fault_us=fault_us))
    length_ms = seen.length_ms
    return Recovery(path=path, was_out=True, ms=None if length_ms is None else round(length_ms, 1))


def _missing_json(missing: Missing) -> dict[str, object]:
    return _operation_json(missing.operation) | {"found": missing.found}


def _operation_json(op: Operation) -> dict[str, object]:
    return {
        "index": op.index,
        "client": op.client,
        "path": op.path,
        "kind": op.kind.value,
        "key": op.key,
        "value": op.value,
        "version": op.version,
        "expected": op.expected,
        "outcome": op.outcome.value,
        "invoked_us": op.invoked_us,
        "completed_us": op.completed_us,
    }
