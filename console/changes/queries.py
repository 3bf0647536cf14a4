"""What changed between two moments, and who would have told us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from console.changes.models import Change, Source
from runbooks import clock

SOURCES = ("settings", "processes", "leader", "files")
"""Those that we ask ourselves. What people report by the API comes on top."""
HEARD_WITHIN_S = 30
ROWS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    id: int
    at_ms: int
    source: str
    kind: str
    title: str
    entity: str
    detail: Mapping[str, Any]
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """`missing` names the sources that were not heard from lately."""

    count: int
    total: int
    missing: tuple[str, ...]

    @property
    def sentence(self) -> str:
        silent = f"; silent: {', '.join(self.missing)}" if self.missing else ""
        return f"{self.count} of {self.total} sources heard from{silent}"


def between(since_ms: int, until_ms: int, *, limit: int = ROWS_MAX) -> tuple[ChangeRow, ...]:
    """Newest first, both ends included. Never what a drill did: that would give it away."""
    rows = Change.objects.filter(
        at__gte=clock.from_ms(since_ms), at__lte=clock.from_ms(until_ms), is_drill=False
    ).order_by("-at", "-id")[: min(limit, ROWS_MAX)]
    return tuple(_row(row) for row in rows)


def last_change() -> ChangeRow | None:
    row = Change.objects.filter(is_drill=False).order_by("-at", "-id").first()
    return None if row is None else _row(row)


def sources_heard(now_ms: int) -> Heard:
    since = clock.from_ms(now_ms - HEARD_WITHIN_S * 1000)
    known = set(
        Source.objects.filter(heard_at__gte=since, name__in=SOURCES).values_list("name", flat=True)
    )
    missing = tuple(name for name in SOURCES if name not in known)
    return Heard(count=len(SOURCES) - len(missing), total=len(SOURCES), missing=missing)


def _row(row: Change) -> ChangeRow:
    return ChangeRow(
        id=row.pk,
        at_ms=clock.to_ms(row.at),
        source=row.source,
        kind=row.kind,
        title=row.title,
        entity=row.entity,
        detail=row.detail,
        actor=row.actor,
    )
