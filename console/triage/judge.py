"""Marks triage's answers, once a drill is over and its fault may be known.

For each drill that healed a while ago: which incident overlapped it, when was it opened, when was a
cause named, when was it fixed, and was the first named cause the truth. What counts is the first
answer that named anything while the fault stood or shortly after, as a person on call would have
read it; a later correction is no hit. Where no objective moved there was nothing to find: "not
judged". A drill is judged once; nothing here is seen by the modules that diagnose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import F, Q

from console.incidents.models import Incident
from console.triage import actions
from console.triage.accuracy import Pair, Verdict, verdict_of
from console.triage.models import Diagnosis, JudgedDrill
from runbooks import clock
from runbooks.drills import journal
from runbooks.drills.queries import JudgedDrill as Case
from runbooks.drills.queries import judged

SETTLED_AFTER_S = 90
"""After the heal: alerts of the slow tiers, the last look and "fixed" need that long."""
OPENS_WITHIN_S = 60
"""An incident opened this long after the heal still belongs to the fault."""
GIVEN_UP_AFTER_S = 86_400
CASES_A_ROUND = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was said about one incident: the first claims that were made, and when."""

    incident_id: int
    opened_ms: int
    named_ms: int | None
    fixed_ms: int | None
    claims: tuple[Pair, ...]
    baselines: Mapping[str, Pair]


def judge_due(now_ms: int) -> int:
    """Judge every drill that is due; how many were."""
    cases = judged(limit=200)
    known = set(
        JudgedDrill.objects.filter(run_id__in=[case.id for case in cases]).values_list(
            "run_id", flat=True
        )
    )
    count = 0
    for case in cases:
        age_s = (now_ms - clock.to_ms(case.healed_at)) / 1000
        if case.id in known or not SETTLED_AFTER_S <= age_s <= GIVEN_UP_AFTER_S:
            continue
        judge(case, now_ms=now_ms)
        count += 1
        if count == CASES_A_ROUND:
            break
    return count


def judge(case: Case, *, now_ms: int) -> JudgedDrill | None:
    """Mark one drill and tell its report. None: somebody else did."""
    fault_ms, healed_ms = clock.to_ms(case.fault_at), clock.to_ms(case.healed_at)
    answer = answer_to(case.id, fault_ms, healed_ms)
    truth = (case.entity, case.kind) if case.kind else None
    claims = () if answer is None else answer.claims
    verdict = verdict_of(truth=truth, claims=claims, has_moved=answer is not None)
    row = actions.mark(
        run_id=case.id,
        scenario=case.scenario,
        truth=truth or ("", ""),
        named=claims[0] if claims else ("", ""),
        verdict=verdict,
        incident_id=None if answer is None else answer.incident_id,
        baselines={}
        if answer is None or truth is None
        else {rule: said == truth for rule, said in answer.baselines.items()},
        started_ms=fault_ms,
        ended_ms=healed_ms,
        detected_ms=None if answer is None else answer.opened_ms,
        named_ms=None if answer is None else answer.named_ms,
        mitigated_ms=None if answer is None else answer.fixed_ms,
        judged_ms=now_ms,
    )
    if row is not None:
        _report(case.id, row, answer)
    return row


def answer_to(run_id: int, fault_ms: int, healed_ms: int) -> Answer | None:
    """The first incident that opened under the fault; None: no objective moved. What another drill
    made is not counted, however soon it came after; what was taken for real is.
    """
    since, until = clock.from_ms(fault_ms), clock.from_ms(healed_ms + OPENS_WITHIN_S * 1000)
    incident = (
        Incident.objects.filter(opened_at__gte=since, opened_at__lte=until)
        .filter(Q(drill_run=run_id) | Q(drill_run=None))
        .order_by(F("drill_run").asc(nulls_last=True), "opened_at", "id")
        .first()
    )
    if incident is None:
        return None
    said = first_named(incident.pk)
    fixed = incident.fixed_at or incident.recovered_at
    newest = Diagnosis.objects.filter(incident_id=incident.pk).order_by("version").last()
    basis = said or newest
    return Answer(
        incident_id=incident.pk,
        opened_ms=clock.to_ms(incident.opened_at),
        named_ms=None if said is None else said.made_ms,
        fixed_ms=None if fixed is None else clock.to_ms(fixed),
        claims=() if said is None else _claims(said),
        baselines={}
        if basis is None
        else {rule: (pair[0], pair[1]) for rule, pair in basis.baselines.items()},
    )


def first_named(incident_id: int) -> Diagnosis | None:
    """The first version that named a cause at all."""
    return (
        Diagnosis.objects.filter(incident_id=incident_id, is_abstained=False)
        .order_by("version")
        .prefetch_related("findings")
        .first()
    )


def _claims(diagnosis: Diagnosis) -> tuple[Pair, ...]:
    return tuple((each.entity, each.kind) for each in diagnosis.findings.all())


def _report(run_id: int, row: JudgedDrill, answer: Answer | None) -> None:
    times = {
        "detected_ms": row.detected_ms,
        "named_ms": row.named_ms,
        "mitigated_ms": row.mitigated_ms,
        "healed_ms": row.ended_ms,
    }
    response: dict[str, object] = {name: at for name, at in times.items() if at is not None}
    if answer is not None:
        response["incident_id"] = answer.incident_id
    journal.note_response(run_id, response, was_judged=answer is not None)
    if answer is not None:
        said = f"{row.named_entity} {row.named_kind}".strip() or "unknown"
        journal.note_triage(run_id, is_hit=row.verdict == Verdict.RIGHT, said=said)
