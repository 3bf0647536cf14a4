"""Writing changes down. A change is a fact about the past, so a row is never altered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.changes.models import NAME_CHARS_MAX, TITLE_CHARS_MAX, Change, Source
from runbooks import clock

Detail = Mapping[str, Any]


def record_change(
    source: str,
    kind: str,
    title: str,
    *,
    entity: str = "",
    detail: Detail | None = None,
    actor: str = "",
    at_ms: int | None = None,
    is_drill: bool = False,
) -> Change:
    """One row; `at_ms` is when it happened (default: now). A drill's rows are kept apart."""
    return Change.objects.create(
        at=clock.from_ms(clock.now_ms() if at_ms is None else at_ms),
        source=source[:40],
        kind=kind[:40],
        title=title[:TITLE_CHARS_MAX],
        entity=entity[:NAME_CHARS_MAX],
        detail=dict(detail or {}),
        actor=actor[:NAME_CHARS_MAX],
        is_drill=is_drill,
    )


def heard(name: str, said: Detail, *, at_ms: int) -> None:
    """This source answered, and said this."""
    Source.objects.update_or_create(
        name=name, defaults={"heard_at": clock.from_ms(at_ms), "said": dict(said)}
    )
