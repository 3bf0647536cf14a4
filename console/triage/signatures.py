"""What each kind of fault looks like, and what it does not look like.

Pure, and a table on purpose: whoever doubts a diagnosis can read why. A row says for one kind which
symptoms speak for it (+), which against it (-); what isn't named says nothing (0). Absence counts:
a disk stall with a processor at rest is not a hog, and a node that is silent to everybody is not
cut off. `must` names symptoms of which one has to be there at all.

Weights were set by hand on half of the recorded cases and checked on the other half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from console.triage.measures import Symptoms

COVERAGE_MIN = 0.6
"""With less than this part of the evidence that could speak for a kind, its score is held down."""
MUST_MIN = 0.3
WITHOUT_MUST = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    must: tuple[str, ...]
    weights: Mapping[str, float]


NODE_SIGNATURES: Mapping[str, Signature] = {
    "node_down": Signature(
        must=("restarted", "unreachable"),
        weights={
            "restarted": 4.0, "unreachable": 0.75, "silent": 0.75, "cut": 0.25,
            "came_back": -2.0, "stands_still": -4.0, "flush": -1.0, "cpu": -0.5,
        },
    ),
    "process_pause": Signature(
        must=("silent", "came_back", "stands_still"),
        weights={
            "silent": 3.0, "came_back": 2.0, "stands_still": 3.0, "unreachable": 0.5, "cut": 0.5,
            "loop_late": 0.5, "restarted": -4.0, "flush": -1.0, "cpu": -1.0,
        },
    ),
    "fsync_stall": Signature(
        must=("flush",),
        weights={
            "flush": 4.0, "disk_time": 2.0,
            "silent": -2.0, "restarted": -3.0, "cpu": -1.5, "loop_late": -0.5, "cut": -1.0,
            "came_back": -1.5, "tenant": -1.0, "peer_fell": -0.5,
        },
    ),
    "isolated": Signature(
        must=("cut",),
        weights={
            "cut": 4.0,
            "silent": -3.0, "restarted": -3.0, "came_back": -2.0, "stands_still": -3.0,
            "flush": -1.5,
            "loop_late": -1.0, "cpu": -1.0,
        },
    ),
    "cpu_hog": Signature(
        must=("cpu",),
        weights={
            "cpu": 3.0, "loop_late": 1.0, "run_queue": 0.5, "own_time": 0.5,
            "silent": -1.0, "restarted": -2.0, "flush": -0.5, "came_back": -1.0, "tenant": -1.5,
            "peer_fell": -1.0,
        },
    ),
    "loop_block": Signature(
        must=("loop_late",),
        weights={
            "loop_late": 3.0, "own_time": 0.5,
            "cpu": -2.5, "run_queue": -1.0, "silent": -1.5, "restarted": -2.0, "flush": -1.5,
            "came_back": -3.0, "tenant": -1.5, "peer_fell": -1.5,
        },
    ),
}  # fmt: skip

TENANT_SIGNATURE = Signature(
    must=("tenant",),
    weights={"tenant": 4.0, "any_silent": -0.5, "any_restarted": -2.0, "any_cut": -1.5,
             "any_flush": -0.5},
)  # fmt: skip

CONFIG_SIGNATURE = Signature(
    must=("setting",),
    weights={"setting": 3.0, "setting_stage": 1.0, "any_silent": -1.5, "any_restarted": -1.5,
             "any_cut": -1.0, "any_flush": -1.5},
)  # fmt: skip


def score(signature: Signature, symptoms: Symptoms) -> float:
    """How well the symptoms fit, from 0 to 1; what was not seen neither helps nor harms."""
    for_it = raw = 0.0
    for name, weight in signature.weights.items():
        found = symptoms.get(name)
        if found is None or found.strength is None:
            continue
        raw += weight * found.strength
        for_it += max(0.0, weight)
    could = sum(max(0.0, weight) for weight in signature.weights.values())
    value = max(0.0, raw / max(for_it, COVERAGE_MIN * could))
    musts = [(symptoms[name].strength or 0.0) for name in signature.must if name in symptoms]
    if max(musts, default=0.0) < MUST_MIN:
        value *= WITHOUT_MUST
    return min(1.0, value)
