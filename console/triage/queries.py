"""Reading what triage said: for the incident page, for lists, for the record of a kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from console.triage.accuracy import SCORED, Case, Verdict
from console.triage.findings import Claim, Line, Silence, claim_from, lines_from
from console.triage.models import Diagnosis, Finding, JudgedDrill

NOT_SCORED = "not yet scored here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One version of the answer for one incident. `claims` is empty where triage abstains."""

    incident_id: int
    version: int
    made_ms: int
    onset_ms: int | None
    claims: tuple[Claim, ...]
    moved: tuple[Line, ...]
    missing: tuple[Silence, ...]
    record: str
    cpu_ms: float

    @property
    def first(self) -> Claim | None:
        return self.claims[0] if self.claims else None

    @property
    def rivals(self) -> tuple[Claim, ...]:
        return self.claims[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The first claim in a few words, for lists and notices."""

    headline: str
    entity: str
    kind: str
    version: int


def top(incident_id: int, version: int | None = None) -> Cause | None:
    """The newest version of the answer, or the one asked for; None if there is none yet."""
    asked = Diagnosis.objects.filter(incident_id=incident_id)
    if version is not None:
        asked = asked.filter(version=version)
    diagnosis = asked.order_by("-version").prefetch_related("findings").first()
    if diagnosis is None:
        return None
    claims = tuple(
        claim_from(
            entity=row.entity,
            kind=row.kind,
            score=row.score,
            headline=row.headline,
            body=row.body,
        )
        for row in diagnosis.findings.all()
    )
    return Cause(
        incident_id=incident_id,
        version=diagnosis.version,
        made_ms=diagnosis.made_ms,
        onset_ms=diagnosis.onset_ms,
        claims=claims,
        moved=lines_from(diagnosis.moved),
        missing=tuple(Silence(**silence) for silence in diagnosis.missing),
        record=record_of(claims[0].kind) if claims else "",
        cpu_ms=diagnosis.cpu_ms,
    )


def findings(incident_ids: Iterable[int]) -> Mapping[int, Named]:
    """The first claim of each incident's newest version; absent: nothing said, or unknown.

    Two queries, however many incidents.
    """
    newest: dict[int, tuple[int, int]] = {}
    rows = Diagnosis.objects.filter(incident_id__in=list(incident_ids)).order_by("version")
    for pk, incident_id, version in rows.values_list("pk", "incident_id", "version"):
        newest[incident_id] = (pk, version)
    by_diagnosis = {pk: (incident_id, version) for incident_id, (pk, version) in newest.items()}
    first = Finding.objects.filter(diagnosis_id__in=list(by_diagnosis), rank=1)
    found = {}
    for row in first.only("diagnosis_id", "headline", "entity", "kind"):
        incident_id, version = by_diagnosis[row.diagnosis_id]
        found[incident_id] = Named(
            headline=row.headline, entity=row.entity, kind=row.kind, version=version
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """One version in the list beside the page."""

    version: int
    made_ms: int
    headline: str


def newest(incident_id: int) -> VersionRow | None:
    """The newest version; None if nothing was said yet."""
    rows = versions(incident_id, limit=1)
    return rows[0] if rows else None


def versions(incident_id: int, limit: int = 20) -> tuple[VersionRow, ...]:
    """Newest first."""
    rows = (
        Diagnosis.objects.filter(incident_id=incident_id)
        .order_by("-version")
        .prefetch_related("findings")[:limit]
    )
    return tuple(
        VersionRow(
            version=row.version,
            made_ms=row.made_ms,
            headline=next((each.headline for each in row.findings.all()), "Cause unknown"),
        )
        for row in rows
    )


def cases(limit: int = 1000) -> list[Case]:
    """Judged drills, newest first."""
    return [
        Case(
            run_id=row.run_id,
            scenario=row.scenario,
            truth=(row.truth_entity, row.truth_kind),
            named=(row.named_entity, row.named_kind),
            verdict=Verdict(row.verdict),
            incident_id=row.incident_id,
            started_ms=row.started_ms,
            detected_s=_after(row.started_ms, row.detected_ms),
            named_s=_after(row.started_ms, row.named_ms),
            mitigated_s=_after(row.started_ms, row.mitigated_ms),
            baselines=row.baselines,
        )
        for row in JudgedDrill.objects.order_by("-started_ms")[:limit]
    ]


def _after(started_ms: int, at_ms: int | None) -> float | None:
    return None if at_ms is None else max(0.0, (at_ms - started_ms) / 1000)


def record_of(kind: str) -> str:
    """How often this kind was named rightly here, as a sentence for people."""
    verdicts = list(
        JudgedDrill.objects.filter(truth_kind=kind, verdict__in=SCORED).values_list(
            "verdict", flat=True
        )
    )
    if not verdicts:
        return NOT_SCORED
    right = sum(1 for verdict in verdicts if verdict == Verdict.RIGHT)
    return f"right {right} of {len(verdicts)} times for this kind here"
