"""Writing the trail. Call before the effect: an effect without a row must be impossible."""

from console.audit.models import ACTOR_LENGTH_MAX, TARGET_LENGTH_MAX, AuditRow

Detail = dict[str, str | int | float | bool | None]


def record(*, actor: str, action: str, target: str, detail: Detail | None = None) -> AuditRow:
    """One row, committed when this returns (unless a caller's transaction is open)."""
    return AuditRow.objects.create(
        actor=actor[:ACTOR_LENGTH_MAX],
        action=action,
        target=target[:TARGET_LENGTH_MAX],
        detail=detail or {},
    )
