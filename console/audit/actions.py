"""Writing the trail. Call before the effect: an effect without a row must be impossible.

There is one chain though many processes write: the row before is read and the new one written in
one transaction, which SQLite begins as a writer (IMMEDIATE), so that no other can come between.
Should a database ever allow it, the unique previous hash refuses the fork.
"""

from functools import partial

from django.db import transaction
from django.utils import timezone
from opentelemetry import trace

from console.audit.chain import GENESIS, Detail, Head, Link, hash_of
from console.audit.context import way_of
from console.audit.head import anchor
from console.audit.models import (
    ACTION_LENGTH_MAX,
    ACTOR_LENGTH_MAX,
    TARGET_LENGTH_MAX,
    AuditRow,
)


def record(
    *,
    actor: str,
    action: str,
    target: str,
    detail: Detail | None = None,
    role: str = "",
    via: str = "",
) -> AuditRow:
    """One row, committed when this returns (unless a caller's transaction is open).

    Role and way (ui, api, cli, auto) are those of the request under way unless given.
    """
    known_role, known_via = way_of(actor)
    with transaction.atomic():
        before = AuditRow.objects.order_by("-id").values_list("id", "hash").first()
        number, previous_hash = before or (0, GENESIS)
        link = Link(
            id=number + 1,
            at=timezone.now(),
            actor=actor[:ACTOR_LENGTH_MAX],
            role=role or known_role,
            via=via or known_via,
            action=action[:ACTION_LENGTH_MAX],
            target=target[:TARGET_LENGTH_MAX],
            detail=dict(detail or {}),
            trace_id=_trace_id(),
            previous_hash=previous_hash,
        )
        row = row_of(link)
        row.save(force_insert=True)
        head = Head(id=row.pk, hash=row.hash)
        # Robust: the row is committed; a full disk here must not undo what it speaks of.
        transaction.on_commit(partial(anchor, head), robust=True)
    return row


def row_of(link: Link) -> AuditRow:
    return AuditRow(
        id=link.id,
        at=link.at,
        actor=link.actor,
        role=link.role,
        via=link.via,
        action=link.action,
        target=link.target,
        detail=link.detail,
        trace_id=link.trace_id,
        previous_hash=link.previous_hash,
        hash=hash_of(link),
    )


def _trace_id() -> str:
    """The trace of the request under way, 32 hex digits; empty without one."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""
