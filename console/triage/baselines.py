"""What simpler rules would have said: the measure of how hard the cases are.

Pure. Realistic benchmarks show that simple rules match elaborate methods on easy faults, so our
score stands beside theirs. "Loudest metric" takes the symptom that moved furthest; "stage diff"
takes the place that added most time. Both always name somebody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from console.triage.evidence import Evidence
from console.triage.measures import Symptoms
from console.triage.stages import Diff
from console.triage.symptoms import DISK, PROCESSOR

KIND_OF_SYMPTOM: Mapping[str, str] = {
    "silent": "process_pause",
    "restarted": "node_down",
    "unreachable": "node_down",
    "flush": "fsync_stall",
    "loop_late": "loop_block",
    "cpu": "cpu_hog",
    "run_queue": "cpu_hog",
    "cut": "isolated",
}
LOUDEST = "loudest metric"
STAGES = "stage diff alone"


def of(
    evidence: Evidence, by_node: Mapping[str, Symptoms], diffs: Sequence[Diff]
) -> dict[str, tuple[str, str]]:
    """What each rule names; a rule whose signal is missing names nothing."""
    found: dict[str, tuple[str, str]] = {}
    loud = [
        (symptom.strength or 0.0, node, KIND_OF_SYMPTOM[name])
        for node, seen in by_node.items()
        for name, symptom in seen.items()
        if name in KIND_OF_SYMPTOM and symptom.strength is not None
    ]
    if loud:
        _, node, kind = max(loud)
        found[LOUDEST] = (node, kind)
    if diffs and diffs[0].added():
        (stage, node), _ = diffs[0].added()[0]
        kind = "isolated"
        if stage in DISK:
            kind = "fsync_stall"
        elif stage in PROCESSOR:
            kind = "cpu_hog"
        found[STAGES] = (node, kind)
    return found
