"""Writing down what triage said. A version is written once, and only when the answer changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from django.db import IntegrityError, transaction

from console.triage import limits
from console.triage.accuracy import Verdict
from console.triage.findings import Findings, claim_body
from console.triage.models import TEXT_LENGTH_MAX, Diagnosis, Finding, JudgedDrill, Look


def keep(incident_id: int, findings: Findings, *, made_ms: int, cpu_ms: float) -> Diagnosis | None:
    """Write the next version, or nothing: None if the newest version says the same, or named a
    cause where this one knows none: once the trouble is over there is less to see, not more.

    Safe to call twice at once: the loser of the race over a version number writes nothing.
    """
    newest = Diagnosis.objects.filter(incident_id=incident_id).order_by("-version").first()
    if newest is not None and newest.digest == findings.digest:
        return None
    if newest is not None and findings.is_abstained and not newest.is_abstained:
        return None
    try:
        with transaction.atomic():
            diagnosis = Diagnosis.objects.create(
                incident_id=incident_id,
                version=1 if newest is None else newest.version + 1,
                made_ms=made_ms,
                onset_ms=findings.onset_ms,
                is_abstained=findings.is_abstained,
                digest=findings.digest,
                moved=[asdict(line) for line in findings.moved],
                missing=[asdict(silence) for silence in findings.missing],
                baselines={name: list(said) for name, said in findings.baselines.items()},
                cpu_ms=cpu_ms,
            )
            Finding.objects.bulk_create(
                Finding(
                    diagnosis=diagnosis,
                    rank=rank,
                    entity=claim.entity,
                    kind=claim.kind,
                    score=claim.score,
                    headline=claim.headline[:TEXT_LENGTH_MAX],
                    body=claim_body(claim),
                )
                for rank, claim in enumerate(findings.claims, start=1)
            )
    except IntegrityError:
        return None
    return diagnosis


def open_look(incident_id: int, *, since_ms: int, due_ms: int) -> Look:
    """The incident's book of looks; begun here if there is none, its first look due then."""
    look, _ = Look.objects.get_or_create(
        incident_id=incident_id, defaults={"since_ms": since_ms, "due_ms": due_ms}
    )
    return look


def close_look(look: Look, *, now_ms: int, is_over: bool) -> bool:
    """Count a look and say when the next is due. False: somebody else counted it first."""
    waits = limits.LOOK_AGAIN_AFTER_S
    due_ms = None
    if not is_over and look.count < len(waits):
        due_ms = now_ms + waits[look.count] * 1000
    changed = Look.objects.filter(pk=look.pk, count=look.count).update(
        count=look.count + 1, due_ms=due_ms
    )
    return changed == 1


def note_rung(look: Look, *, due_ms: int) -> bool:
    """Put the next ring off. False: another watcher rang."""
    return Look.objects.filter(pk=look.pk, due_ms=look.due_ms).update(due_ms=due_ms) == 1


def mark(
    *,
    run_id: int,
    scenario: str,
    truth: tuple[str, str],
    named: tuple[str, str],
    verdict: Verdict,
    incident_id: int | None,
    baselines: Mapping[str, bool],
    started_ms: int,
    ended_ms: int,
    detected_ms: int | None,
    named_ms: int | None,
    mitigated_ms: int | None,
    judged_ms: int,
) -> JudgedDrill | None:
    """Write how one drill went. None: it was marked before, and stays as it was."""
    row, is_new = JudgedDrill.objects.get_or_create(
        run_id=run_id,
        defaults={
            "scenario": scenario,
            "truth_entity": truth[0],
            "truth_kind": truth[1],
            "named_entity": named[0],
            "named_kind": named[1],
            "verdict": verdict.value,
            "incident_id": incident_id,
            "baselines": dict(baselines),
            "started_ms": started_ms,
            "ended_ms": ended_ms,
            "detected_ms": detected_ms,
            "named_ms": named_ms,
            "mitigated_ms": mitigated_ms,
            "judged_ms": judged_ms,
        },
    )
    return row if is_new else None
