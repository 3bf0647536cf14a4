"""Reading the trail, and examining the whole of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from django.db.models import QuerySet

from console.audit.chain import Examined, Head, Link, Sealed, Trouble, examine
from console.audit.head import HeadUnreadable, read_head
from console.audit.models import AuditRow

PAGE_ROWS = 100
CHUNK_ROWS = 2000
FILTERS = ("actor", "action", "target", "via")


def recent(limit: int = PAGE_ROWS) -> Sequence[AuditRow]:
    """Newest first."""
    return list(AuditRow.objects.all()[:limit])


def found(filters: Mapping[str, str], *, before: int | None, limit: int) -> Sequence[AuditRow]:
    """Newest first, older than row `before`; text filters find parts, `via` is exact."""
    rows: QuerySet[AuditRow] = AuditRow.objects.all()
    for name in FILTERS:
        if text := filters.get(name, ""):
            rows = rows.filter(**{name if name == "via" else f"{name}__icontains": text})
    if before is not None:
        rows = rows.filter(id__lt=before)
    return list(rows[:limit])


def exported(after: int) -> Iterator[Mapping[str, object]]:
    """Every row behind `after`, oldest first, with all that its hash covers. In chunks."""
    for row in AuditRow.objects.filter(id__gt=after).order_by("id").iterator(CHUNK_ROWS):
        yield {**asdict(link_of(row)), "at": row.at.isoformat(), "hash": row.hash}


def verify(anchors: Sequence[Head] = ()) -> Examined:
    """The whole chain against the head file and against heads kept elsewhere."""
    troubles: list[Trouble] = []
    heads = list(anchors)
    try:
        head = read_head()
    except HeadUnreadable as error:
        head = None
        troubles.append(Trouble(row=0, text=str(error)))
    else:
        if head is None and AuditRow.objects.exists():
            troubles.append(Trouble(row=0, text="there are rows and no head file"))
    if head is not None:
        heads.append(head)
    examined = examine(_sealed(), heads)
    return Examined(
        rows=examined.rows,
        last=examined.last,
        troubles=[*troubles, *examined.troubles],
        unanchored=examined.unanchored,
    )


def _sealed() -> Iterator[Sealed]:
    for row in AuditRow.objects.order_by("id").iterator(chunk_size=CHUNK_ROWS):
        yield Sealed(link=link_of(row), hash=row.hash)


def link_of(row: AuditRow) -> Link:
    return Link(
        id=row.pk,
        at=row.at,
        actor=row.actor,
        role=row.role,
        via=row.via,
        action=row.action,
        target=row.target,
        detail=row.detail,
        trace_id=row.trace_id,
        previous_hash=row.previous_hash,
    )
