"""A drill in sentences and figures, for pages, the terminal and Markdown alike. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.figures import quantity
from console.verdict import State
from runbooks.drills.queries import DrillRow

VERDICTS: Mapping[str, tuple[State, str]] = {
    "": ("idle", "under way"),
    "passed": ("ok", "passed"),
    "slow": ("warning", "missed its target"),
    "violated": ("firing", "violated"),
    "lost": ("firing", "writes lost"),
    "undecided": ("unknown", "undecided"),
    "aborted": ("warning", "aborted"),
    "refused": ("idle", "refused"),
}
BROKE: Mapping[str, str] = {
    "failover-leader": "leader killed",
    "pause-leader": "leader paused",
    "isolate-leader": "leader cut off",
    "isolate-leader-one-way": "leader cut off one way",
    "fsync-stall-leader": "leader's disk stalled",
    "slow-follower": "follower slowed",
    "cpu-hog": "leader's processor hogged",
    "loop-block": "leader's loop blocked",
    "noisy-tenant": "flooded by a tenant",
    "bad-config": "setting made worse",
}


def part(numbers: Mapping[str, object], name: str) -> Mapping[str, Any]:
    """One group of a drill's figures; empty where the drill did not come so far."""
    value = numbers.get(name)
    return value if isinstance(value, dict) else {}


def recovery(told: Mapping[str, Any]) -> str:
    """How long a door was out: a figure, "no gap", or that it was not back."""
    if not told:
        return "\u2013"
    if told.get("ms") is None:
        return "not back"
    return quantity(told["ms"], "ms") if told.get("was_out") else "no gap"


def wait(told: Mapping[str, Any]) -> str:
    """The same with the longest wait where there was no gap: a quick failover shows only there."""
    found = recovery(told)
    is_wait = bool(told) and not told.get("was_out") and told.get("ms")
    return f"{found}, {quantity(told['ms'], 'ms')} at most" if is_wait else found


def sentence(drill: DrillRow) -> str:
    """The verdict with its number."""
    broke = BROKE.get(drill.scenario, drill.scenario)
    rto, rpo = part(drill.numbers, "rto"), part(drill.numbers, "rpo")
    core = part(rto, "core")
    back = f"writes back in {recovery(core)}" if core.get("was_out") else "writes went on"
    if drill.verdict == "passed":
        return f"Passed: {broke}, {back}, nothing lost"
    if drill.verdict == "slow":
        return f"Too slow: {broke}, {back}, nothing lost"
    if drill.verdict == "lost":
        return f"Failed: {rpo.get('missing', 0)} acknowledged writes missing"
    if drill.verdict == "violated":
        return f"Failed: {broke}, and clients saw the past"
    if drill.verdict == "undecided":
        return f"Undecided: {broke}, neither proven nor refuted"
    if drill.verdict in ("aborted", "refused"):
        return f"{drill.verdict.capitalize()}: {drill.reason}"
    return f"Drill {drill.id} is under way: {drill.title.lower()}"


def lines(drill: DrillRow) -> list[str]:
    """What a terminal prints: three recovery times, what was lost, the verdict on consistency."""
    found = [
        f"drill {drill.id}: {drill.scenario}, seed {drill.seed}: {drill.verdict or 'under way'}"
    ]
    if drill.reason:
        found.append(f"  reason       {drill.reason}")
    rto, rpo = part(drill.numbers, "rto"), part(drill.numbers, "rpo")
    consistency = part(drill.numbers, "consistency")
    if rto:
        limit = quantity(rto["target_ms"], "ms")
        found += [
            f"  RTO core     {wait(rto['core'])} (target {limit})",
            f"  RTO door     {wait(rto['door'])}",
            f"  RTO SDK      {wait(rto['sdk'])}",
        ]
    if rpo:
        found.append(
            f"  RPO          {rpo['missing']} of {rpo['acknowledged']:,} acknowledged writes"
            f" missing, {rpo['read_back']:,} read back"
        )
    if consistency:
        found.append(
            f"  consistency  {consistency['verdict']}: {consistency['operations']:,} operations,"
            f" {consistency['unknown']} with unknown outcome,"
            f" checked in {consistency['seconds']:g} s"
        )
        if consistency["sentence"]:
            found.append(f"               {consistency['sentence']}")
        found += [f"               {line}" for line in counterexample(drill)]
    return found


def counterexample(drill: DrillRow) -> list[str]:
    """The operations that can't be explained together, one a line; the impossible one is marked."""
    consistency = part(drill.numbers, "consistency")
    told = consistency.get("counterexample") or []
    return [
        f"{'>' if op['index'] == consistency.get('culprit') else ' '} client {op['client']}"
        f" {op['kind']} {op['key']} version {op['version'] or '-'}"
        f" {op['invoked_us'] / 1000:.1f}..{span_end(op)} ms through {op['path']}"
        for op in told
    ]


def span_end(op: Mapping[str, Any]) -> str:
    """When it came back, in ms; a question mark if it never did."""
    return "?" if op["completed_us"] is None else f"{op['completed_us'] / 1000:.1f}"
