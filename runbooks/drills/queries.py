"""What pages, the API and the accuracy score may ask about drills: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from django.conf import settings
from django.db.models import Q

from runbooks.clock import from_ms
from runbooks.drills import limits
from runbooks.drills.errors import GuardResult, NoSuchDrill
from runbooks.drills.folder import DrillFolder
from runbooks.drills.models import Drill
from runbooks.drills.scenarios import SCENARIOS


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRow:
    """One drill. `verdict` is empty while it is under way; `numbers` is empty before its end."""

    id: int
    scenario: str
    title: str
    seed: int
    actor: str
    created_at: datetime
    verdict: str
    reason: str
    faulted_at: datetime | None
    healed_at: datetime | None
    finished_at: datetime | None
    truth_entity: str
    truth_kind: str
    numbers: Mapping[str, object]
    guards: tuple[GuardResult, ...]
    was_judged: bool | None
    triage: str
    triage_said: str
    response: Mapping[str, object]

    @property
    def is_active(self) -> bool:
        return not self.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedDrill:
    """A drill as a case for the diagnosis: the right answer, and when it was to be found.

    `was_judged`: an objective moved, so there was something to diagnose; None: not looked yet.
    """

    id: int
    scenario: str
    entity: str
    kind: str
    fault_at: datetime
    healed_at: datetime
    was_judged: bool | None
    triage: str


def recent(limit: int = 50, *, scenario: str = "") -> tuple[DrillRow, ...]:
    """The newest first; an empty filter means all. One query."""
    drills = Drill.objects.order_by("-pk")
    if scenario:
        drills = drills.filter(scenario=scenario)
    return tuple(_row(drill) for drill in drills[: max(1, min(limit, 200))])


def report(drill_id: int) -> DrillRow:
    """All of one drill. Raises NoSuchDrill.

    While it is under way, its fault is told by what its process has written so far.
    """
    drill = Drill.objects.filter(pk=drill_id).first()
    if drill is None:
        raise NoSuchDrill(drill_id)
    row = _row(drill)
    return _with_fault(row) if row.is_active else row


def active() -> DrillRow | None:
    """The drill under way, queued ones included."""
    drill = Drill.objects.filter(verdict="").order_by("-pk").first()
    return None if drill is None else _row(drill)


def earlier(drill: DrillRow) -> tuple[DrillRow, ...]:
    """Drills of the same scenario up to this one, oldest first."""
    found = Drill.objects.filter(scenario=drill.scenario, pk__lte=drill.id).exclude(verdict="")
    rows = [_row(each) for each in found.order_by("-pk")[: limits.EARLIER_RUNS_SHOWN]]
    return tuple(reversed(rows))


def judged(limit: int = 500) -> tuple[JudgedDrill, ...]:
    """Drills whose fault stood long enough to be diagnosed, newest first. One query."""
    found = Drill.objects.filter(faulted_at__isnull=False, healed_at__isnull=False)
    rows = found.exclude(truth_kind="").order_by("-pk")[:limit]
    return tuple(
        JudgedDrill(
            id=drill.pk,
            scenario=drill.scenario,
            entity=drill.truth_entity,
            kind=drill.truth_kind,
            fault_at=drill.faulted_at,
            healed_at=drill.healed_at,
            was_judged=drill.was_judged,
            triage=drill.triage,
        )
        for drill in rows
        if drill.faulted_at is not None and drill.healed_at is not None
    )


def windows(since_ms: int, until_ms: int) -> tuple[tuple[datetime, datetime | None], ...]:
    """From fault to heal of each drill that touches this time (Unix ms). One query."""
    since, until = from_ms(since_ms), from_ms(until_ms)
    found = Drill.objects.filter(faulted_at__lte=until).filter(
        Q(healed_at__isnull=True) | Q(healed_at__gte=since)
    )
    rows = found.order_by("faulted_at").values_list("faulted_at", "healed_at")
    return tuple((start, end) for start, end in rows if start is not None)


def _with_fault(row: DrillRow) -> DrillRow:
    for event in DrillFolder(settings.HOLDFAST.home, row.id).read_events():
        at_ms, entity, kind = (event.get(name) for name in ("at_ms", "entity", "kind"))
        if event.get("event") == "fault" and isinstance(at_ms, int):
            return replace(
                row, faulted_at=from_ms(at_ms), truth_entity=str(entity), truth_kind=str(kind)
            )
    return row


def _row(drill: Drill) -> DrillRow:
    scenario = SCENARIOS.get(drill.scenario)
    return DrillRow(
        id=drill.pk,
        scenario=drill.scenario,
        title=scenario.title if scenario is not None else drill.scenario,
        seed=drill.seed,
        actor=drill.actor,
        created_at=drill.created_at,
        verdict=drill.verdict,
        reason=drill.reason,
        faulted_at=drill.faulted_at,
        healed_at=drill.healed_at,
        finished_at=drill.finished_at,
        truth_entity=drill.truth_entity,
        truth_kind=drill.truth_kind,
        numbers=drill.numbers,
        guards=tuple(GuardResult(**guard) for guard in drill.guards),
        was_judged=drill.was_judged,
        triage=drill.triage,
        triage_said=drill.triage_said,
        response=drill.response,
    )
