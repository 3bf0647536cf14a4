"""Reading what was told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from console.alerts.models import Alert
from runbooks import clock
from telemetry.slo.alerts import FIRING, Transition

LISTED_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One line of a list. `ended_at` is None while it fires."""

    key: str
    rule: str
    tier: str
    severity: str
    headline: str
    labels: Mapping[str, str]
    value: float | None
    started_at: datetime
    told_at: datetime
    ended_at: datetime | None

    @property
    def is_drill(self) -> bool:
        return "drill" in self.labels

    @property
    def lasted_s(self) -> float | None:
        if self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


def row_of(alert: Alert) -> AlertRow:
    return AlertRow(
        key=alert.key,
        rule=alert.rule,
        tier=alert.tier,
        severity=alert.severity,
        headline=alert.headline,
        labels=alert.labels,
        value=alert.value,
        started_at=alert.started_at,
        told_at=alert.told_at,
        ended_at=alert.ended_at,
    )


def open_alerts() -> Sequence[AlertRow]:
    """Those that fire, newest first."""
    rows = Alert.objects.filter(ended_at__isnull=True).order_by("-told_at")[:LISTED_MAX]
    return [row_of(alert) for alert in rows]


def recent_alerts(limit: int = 50) -> Sequence[AlertRow]:
    """Newest first, whether they fire or have ended."""
    rows = Alert.objects.order_by("-told_at")[: min(limit, LISTED_MAX)]
    return [row_of(alert) for alert in rows]


def open_transitions() -> tuple[Transition, ...]:
    """What a new watcher takes over from the one before."""
    return tuple(
        Transition(
            at_ms=clock.to_ms(row.told_at),
            rule=row.rule,
            tier=row.tier,
            severity=row.severity,
            state=FIRING,
            headline=row.headline,
            started_ms=clock.to_ms(row.started_at),
            labels=row.labels,
            value=row.value,
        )
        for row in open_alerts()
    )
