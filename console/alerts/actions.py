"""Writing down what was told. Each is safe to do twice: the watcher retries what failed."""

from collections.abc import Sequence

from django.db import transaction

from console.alerts.models import HEADLINE_CHARS_MAX, KEPT_MAX, Alert
from runbooks import clock
from telemetry.slo.alerts import RESOLVED, Transition


def record_transitions(transitions: Sequence[Transition]) -> None:
    """All of them or none."""
    with transaction.atomic():
        for transition in transitions:
            _record(transition)


def _record(told: Transition) -> None:
    at = clock.from_ms(told.at_ms)
    is_open = Alert.objects.filter(key=told.key, ended_at__isnull=True)
    if told.state == RESOLVED:
        is_open.filter(told_at__lte=at).update(ended_at=at)
        return
    facts = {
        "tier": told.tier,
        "severity": told.severity,
        "headline": told.headline[:HEADLINE_CHARS_MAX],
        "labels": dict(told.labels),
        "value": told.value,
        "told_at": at,
    }
    if is_open.update(**facts) == 0:
        started_at = clock.from_ms(told.started_ms)
        Alert.objects.create(key=told.key, rule=told.rule, started_at=started_at, **facts)


def forget_old_alerts(kept: int = KEPT_MAX) -> int:
    """Delete the oldest ended alerts beyond `kept`; says how many."""
    ended = Alert.objects.filter(ended_at__isnull=False).order_by("-told_at")
    first_too_old = ended.values_list("told_at", flat=True)[kept : kept + 1].first()
    if first_too_old is None:
        return 0
    return ended.filter(told_at__lte=first_too_old).order_by().delete()[0]
