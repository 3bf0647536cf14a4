"""Keeping the minutes. Safe to do twice: a minute that is there stays as it was first written."""

from collections.abc import Sequence

from console.slos.models import KEPT_DAYS, SloMinute
from telemetry.slo.counts import Minute


def record_minutes(minutes: Sequence[Minute]) -> None:
    """Write closed minutes, and forget those that no window reaches any more."""
    SloMinute.objects.bulk_create(
        [
            SloMinute(
                objective=each.objective,
                minute=each.minute,
                requests=each.counts.requests,
                bad=each.counts.bad,
                drill_bad=each.counts.drill_bad,
            )
            for each in minutes
        ],
        ignore_conflicts=True,
    )
    if minutes:
        oldest = max(each.minute for each in minutes) - KEPT_DAYS * 1440
        SloMinute.objects.filter(minute__lt=oldest).delete()
