"""From evidence to ranked claims, or to "unknown": the whole of triage as one pure function.

Candidates are pairs (entity, kind): each node with each kind that a node can have, each account
that grew, each entity whose settings stand out. Each gets a score from the table of signatures.
The first is named if it is good enough and clear of its rivals; else nothing is named, and what
moved most is shown instead. Latency is never a cause, and neither is a leader change: they have no
row in the table.

The steps, each in a module of its own: `onset` (when), `stages` (whose time), `attributes` (what
bad requests have in common), `symptoms` and `links` (what is odd about a node, against itself and
its peers), `tenants`, `tuning`, `signatures` (what that looks like), `words` (how it is said).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from console.triage import baselines, signatures, stages, symptoms, tenants, tuning, words
from console.triage.evidence import Evidence
from console.triage.findings import Claim, Findings
from console.triage.limits import CLAIMS_MAX
from console.triage.measures import UNSEEN, Symptom, Symptoms
from console.triage.signatures import (
    CONFIG_SIGNATURE,
    NODE_SIGNATURES,
    TENANT_SIGNATURE,
    Signature,
)
from console.triage.words import Candidate

SCORE_MIN = 0.45
"""Below this the first claim is not named."""
MARGIN_MIN = 0.08
"""Nor if a rival about something else is this close."""
SHOWN_MIN = 0.15
BAD_CONFIG = "bad_config"


def diagnose(evidence: Evidence) -> Findings:
    """What the evidence says. The same evidence always gives the same answer."""
    diffs = stages.diffs(evidence)
    by_node = {node: symptoms.of_node(evidence, node, diffs) for node in evidence.names}
    ranked = rank(candidates(evidence, by_node, diffs))
    moved = words.moved(evidence, by_node, diffs)
    named = ranked if is_clear(ranked) else []
    return Findings(
        claims=tuple(
            _claim(evidence, candidate, ranked, diffs, is_first=at == 0)
            for at, candidate in enumerate(named[:CLAIMS_MAX])
            if at == 0 or candidate.score >= SHOWN_MIN
        ),
        moved=moved,
        missing=evidence.missing,
        onset_ms=evidence.onset_ms,
        baselines=baselines.of(evidence, by_node, diffs),
    )


def candidates(
    evidence: Evidence, by_node: Mapping[str, Symptoms], diffs: Sequence[stages.Diff]
) -> list[Candidate]:
    """Every pair that can be a cause here, with its symptoms and its score."""
    accounts = tenants.of(evidence)
    # A flood explains late loops and long queues at the nodes where it comes in.
    flood = max(accounts.values(), key=lambda each: each.strength or 0.0, default=UNSEEN)
    found = [
        candidate(node, kind, signature, {**seen, "tenant": flood, **fallen(by_node, node)})
        for node, seen in by_node.items()
        for kind, signature in NODE_SIGNATURES.items()
    ]
    anywhere = worst(by_node)
    for account, symptom in accounts.items():
        seen = {**anywhere, "tenant": symptom}
        found.append(candidate(f"tenant:{account}", "noisy_tenant", TENANT_SIGNATURE, seen))
    for entity, own in tuning.of(evidence, diffs).items():
        found.append(candidate(entity, BAD_CONFIG, CONFIG_SIGNATURE, {**anywhere, **own}))
    return found


def candidate(entity: str, kind: str, signature: Signature, seen: Symptoms) -> Candidate:
    """A pair with its score."""
    return Candidate(
        entity=entity,
        kind=kind,
        score=signatures.score(signature, seen),
        signature=signature,
        symptoms=seen,
    )


def fallen(by_node: Mapping[str, Symptoms], node: str) -> dict[str, Symptom]:
    """ "peer_fell": another node is a new process, and to bring it up to date is work for this one
    that looks like a fault of its own.
    """
    others = (seen["restarted"] for other, seen in by_node.items() if other != node)
    return {"peer_fell": max(others, key=lambda each: each.strength or 0.0, default=UNSEEN)}


def worst(by_node: Mapping[str, Symptoms]) -> dict[str, Symptom]:
    """Each symptom at the node that has it most, as "any_NAME": what speaks against a cause that
    is no node's."""
    found: dict[str, Symptom] = {}
    for seen in by_node.values():
        for name, symptom in seen.items():
            before = found.get(f"any_{name}", UNSEEN)
            if (symptom.strength or 0.0) >= (before.strength or 0.0):
                found[f"any_{name}"] = symptom
    return found


def rank(found: Sequence[Candidate]) -> list[Candidate]:
    """Best first; equal scores in the order of their names, so that answers repeat."""
    return sorted(found, key=lambda each: (-each.score, each.entity, each.kind))


def is_clear(ranked: Sequence[Candidate]) -> bool:
    """Whether the first may be named: good enough, and clear of its best rival."""
    if not ranked or ranked[0].score < SCORE_MIN:
        return False
    rival = ranked[1].score if len(ranked) > 1 else 0.0
    return ranked[0].score - rival >= MARGIN_MIN


def _claim(
    evidence: Evidence,
    candidate: Candidate,
    ranked: Sequence[Candidate],
    diffs: Sequence[stages.Diff],
    *,
    is_first: bool,
) -> Claim:
    rivals = [each for each in ranked if each is not candidate]
    return Claim(
        entity=candidate.entity,
        kind=candidate.kind,
        score=round(candidate.score, 3),
        headline=words.headline(evidence, candidate),
        lines=words.lines(evidence, candidate),
        bars=stages.bars(diffs[0]) if is_first and diffs and diffs[0].added_ms > 0 else None,
        why_not=words.why_not(candidate, rivals) if is_first else words.against(candidate),
        wrong_if=words.wrong_if(candidate),
        remedy=tuning.remedy(evidence, candidate.entity) if candidate.kind == BAD_CONFIG else {},
    )
