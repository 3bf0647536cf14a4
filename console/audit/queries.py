"""Reading the trail."""

from collections.abc import Sequence

from console.audit.models import AuditRow

PAGE_ROWS = 100


def recent(limit: int = PAGE_ROWS) -> Sequence[AuditRow]:
    """Newest first."""
    return list(AuditRow.objects.all()[:limit])
