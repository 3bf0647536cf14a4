"""How a diagnosis is said: a headline, its proofs, its rivals, and what would prove it wrong.

Pure. Sentences carry a figure with its unit and the thing it is about; a claim without a proof that
can be asked again is not written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.triage import attributes
from console.triage.evidence import Evidence
from console.triage.findings import Line
from console.triage.limits import LINES_MAX
from console.triage.measures import Symptoms, thin
from console.triage.robust import known, quantile
from console.triage.signatures import Signature
from console.triage.stages import Diff, bars
from telemetry import names

PRESENT_MIN = 0.3
RIVALS_TOLD = 3
MOVED_RATIO_MIN = 1.5

HEADLINES: Mapping[str, str] = {
    "node_down": "{who} went down",
    "process_pause": "{who} stands still: its process is stopped",
    "fsync_stall": "Flush stalls on {who}",
    "isolated": "{who} is cut off from its peers",
    "cpu_hog": "Something on {who} takes the processor",
    "loop_block": "The event loop of {who} is blocked",
    "noisy_tenant": "Account {account} crowds out the others",
    "bad_config": "{who} runs with a bad setting",
}
NAMES_OF_KINDS: Mapping[str, str] = {
    "node_down": "a crash",
    "process_pause": "a stopped process",
    "fsync_stall": "the disk",
    "isolated": "the network",
    "cpu_hog": "a processor hog",
    "loop_block": "a blocked event loop",
    "noisy_tenant": "a tenant",
    "bad_config": "a setting",
}
WRONG_IF: Mapping[str, tuple[str, ...]] = {
    "node_down": (
        "the process number of {entity} is the one from before",
        "another node was silent or restarted at the same time",
    ),
    "process_pause": (
        "{entity} has a new process number",
        "{entity} reported during the gap",
    ),
    "fsync_stall": (
        "flush times of its peers rise as well",
        "writes stay slow after {entity} stops leading and is drained",
    ),
    "isolated": (
        "the pair of its two peers is broken, too",
        "{entity} is silent to telemetry as well",
    ),
    "cpu_hog": (
        "a profile of {entity} shows only its own request work",
        "processor time of its peers is as high",
    ),
    "loop_block": (
        "loop delay of its peers is as high",
        "a profile of {entity} shows no call that stands still",
    ),
    "noisy_tenant": (
        "requests stay slow after the account is throttled",
        "its share was as large in quiet hours",
    ),
    "bad_config": (
        "nothing changes after the setting is put back",
        "another node with the same value is well",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A pair that could be the cause, with what speaks for and against it."""

    entity: str
    kind: str
    score: float
    signature: Signature
    symptoms: Symptoms

    def strength(self, name: str) -> float:
        symptom = self.symptoms.get(name)
        return 0.0 if symptom is None else symptom.strength or 0.0


def headline(evidence: Evidence, candidate: Candidate) -> str:
    who = candidate.entity
    if who.startswith("node-") and led_before(evidence, who):
        who = f"{who}, the leader"
        if not HEADLINES[candidate.kind].endswith("{who}"):
            who += ","
    if who == "fleet":
        who = "The fleet"
    return HEADLINES[candidate.kind].format(
        who=who, account=candidate.entity.removeprefix("tenant:")
    )


def led_before(evidence: Evidence, node: str) -> bool:
    """Whether it led when it began; what it does now may be the effect."""
    onset_ms = evidence.onset_ms or evidence.now[0]
    curve = evidence.curve(names.RAFT_LEADER.name, node)
    before = [] if curve is None else [p for p in curve.points if p.at_ms < onset_ms]
    if before:
        return before[-1].last >= 1.0
    status = evidence.status(node)
    return status is not None and status.role == "leader"


def lines(evidence: Evidence, candidate: Candidate) -> tuple[Line, ...]:
    """The strongest proofs, with a trace of a request that suffered."""
    present = [
        (weight * candidate.strength(name), candidate.symptoms[name].line)
        for name, weight in candidate.signature.weights.items()
        if weight > 0 and candidate.strength(name) >= PRESENT_MIN
    ]
    told = [line for _, line in sorted(present, key=lambda pair: -pair[0]) if line.sentence]
    suffered = worst_request(evidence, candidate.entity)
    if suffered is not None and len(told) < LINES_MAX:
        told.append(suffered)
    return tuple(told[:LINES_MAX])


def worst_request(evidence: Evidence, entity: str) -> Line | None:
    """The kept request that lost most time on the entity, or the slowest of all."""
    if not evidence.requests_now:
        return None

    def lost(parts: Mapping[tuple[str, str], float]) -> float:
        return sum(ms for (_, node), ms in parts.items() if node == entity)

    request = max(evidence.requests_now, key=lambda each: (lost(each.parts), each.ms))
    on_it = lost(request.parts)
    where = f", {on_it:.0f} ms of it on {entity}" if on_it >= 1.0 else ""
    return Line(
        sentence=f"{request.operation} took {request.ms:.0f} ms{where}", trace_id=request.trace_id
    )


def against(candidate: Candidate) -> tuple[str, ...]:
    """What keeps a claim from being first: symptoms that it should have and lacks, or has and
    should not."""
    told = []
    for name, weight in candidate.signature.weights.items():
        symptom = candidate.symptoms.get(name)
        if symptom is None or symptom.strength is None or not symptom.line.sentence:
            continue
        lacks = weight >= 1.0 and symptom.strength < PRESENT_MIN
        has = weight < 0 and symptom.strength >= PRESENT_MIN
        if lacks or has:
            told.append((abs(weight), symptom.line.sentence))
    return tuple(sentence for _, sentence in sorted(told, key=lambda pair: -pair[0])[:LINES_MAX])


def why_not(first: Candidate, rivals: Sequence[Candidate]) -> tuple[str, ...]:
    """The best rival of each other kind, and the strongest thing against it."""
    told, kinds = [], {first.kind}
    # Of rivals that fit as badly, the one on the same node is what a reader would think of.
    for rival in sorted(rivals, key=lambda each: (-each.score, each.entity != first.entity)):
        if rival.kind in kinds:
            continue
        kinds.add(rival.kind)
        reasons = against(rival)
        if reasons:
            told.append(f"Not {NAMES_OF_KINDS[rival.kind]} on {rival.entity}: {reasons[0]}")
        if len(told) == RIVALS_TOLD:
            break
    if "noisy_tenant" not in {rival.kind for rival in rivals} and first.kind != "noisy_tenant":
        told.append("Not a tenant: no account took more than its usual share")
    return tuple(told)


def wrong_if(candidate: Candidate) -> tuple[str, ...]:
    return tuple(text.format(entity=candidate.entity) for text in WRONG_IF[candidate.kind])


def moved(
    evidence: Evidence, by_node: Mapping[str, Symptoms], diffs: Sequence[Diff]
) -> tuple[Line, ...]:
    """What moved most, whatever the cause: symptoms, golden signals, what bad requests share."""
    ranked = [
        (symptom.strength or 0.0, symptom.line)
        for seen in by_node.values()
        for symptom in seen.values()
        if (symptom.strength or 0.0) >= PRESENT_MIN and symptom.line.sentence
    ]
    told = [line for _, line in sorted(ranked, key=lambda pair: -pair[0])][:LINES_MAX]
    if diffs and diffs[0].added_ms > 1.0:
        told.append(Line(sentence=bars(diffs[0]).sentence))
    told += latency(evidence)
    for each in attributes.common(evidence.requests_now)[:2]:
        told.append(
            Line(
                sentence=f"{each.attribute} = {each.value} is {100 * each.bad_share:.0f} % of slow "
                f"or failed requests, {100 * each.rest_share:.0f} % of the others"
            )
        )
    unique = {line.sentence: line for line in told}
    return tuple(unique.values())[: LINES_MAX + 1]


def latency(evidence: Evidence) -> list[Line]:
    """Write and read p99 of the node where it rose most."""
    found = []
    for what in ("write", "read"):
        column = f"{what}_p99_ms"
        risen = []
        for node in evidence.seconds.nodes:
            now, usual = (
                quantile(known(evidence.seconds.window(node, column, window)), 0.75)
                for window in (evidence.now, evidence.normal)
            )
            risen.append((now / max(usual, 1.0), now, usual, node))
        if risen and max(risen)[0] >= MOVED_RATIO_MIN:
            _, now, usual, node = max(risen)
            points = thin(evidence.seconds.series(node, column))
            sentence = f"{what.capitalize()} p99 by {node} went from {usual:.1f} ms to {now:.1f} ms"
            found.append(Line(sentence=sentence, unit="ms", points=points))
    return found
