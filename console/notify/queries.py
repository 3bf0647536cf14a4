"""Does paging work? Answered from what was sent, never from what is configured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from console.figures import span
from console.notify import message as form
from console.notify.models import Delivery
from console.verdict import State
from telemetry.config import Settings

TESTED_WITHIN = timedelta(days=7)
SHOWN_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """`sentence` for the context of Now: "Paging: works, tested 6 h ago"."""

    state: State
    sentence: str
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    at: datetime
    word: str
    channel: str
    is_delivered: bool
    reason: str
    attempt_count: int
    took_ms: int


def channel_names(fleet: Settings) -> tuple[str, ...]:
    """What is set, without making it."""
    chosen = {
        "webhook": fleet.page_webhook_url,
        "slack": fleet.page_slack_url,
        "pagerduty": fleet.page_pagerduty_key,
        "mail": fleet.page_smtp_url,
    }
    return tuple(name for name, value in chosen.items() if value)


def paging() -> Paging:
    """One query, none without a channel."""
    names = channel_names(settings.HOLDFAST)
    if not names:
        return Paging(
            state="warning",
            sentence="Paging: no channel set, nobody would be told",
            channels=(),
        )
    now = timezone.now()
    recent = Delivery.objects.filter(at__gte=now - TESTED_WITHIN, channel__in=names)
    newest: dict[str, Delivery] = {}
    for row in recent.exclude(word=form.ACKNOWLEDGE).order_by("-at")[:200]:
        newest.setdefault(row.channel, row)
    broken = [row for row in newest.values() if not row.is_delivered]
    untried = [name for name in names if name not in newest]
    if broken:
        row = broken[0]
        return Paging(
            state="firing",
            sentence=f"Paging: {row.channel} failed {_ago(now, row.at)}: {row.reason}",
            channels=names,
        )
    if untried:
        return Paging(
            state="warning",
            sentence=f"Paging: {', '.join(untried)} not tested for a week",
            channels=names,
        )
    oldest = min(newest.values(), key=lambda row: row.at)
    word = "tested" if oldest.word == form.TEST else "used"
    return Paging(
        state="ok", sentence=f"Paging: works, {word} {_ago(now, oldest.at)}", channels=names
    )


def recent_deliveries(limit: int = SHOWN_MAX) -> Sequence[DeliveryRow]:
    rows = Delivery.objects.order_by("-at")[:limit]
    names = DeliveryRow.__dataclass_fields__
    return tuple(DeliveryRow(**{name: getattr(row, name) for name in names}) for row in rows)


def _ago(now: datetime, then: datetime) -> str:
    return f"{span((now - then).total_seconds())} ago"
