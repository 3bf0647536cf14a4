"""The kept minutes, as a new watcher takes them over: the last days whole, the rest by the hour."""

from collections import defaultdict

from django.db.models import Count, F, Sum

from console.slos.models import SloMinute
from telemetry.slo.counts import MINUTES_KEPT, Counts

Minutes = dict[str, dict[int, Counts]]
Hours = dict[str, dict[int, tuple[Counts, int]]]


def kept_minutes(now_ms: int) -> tuple[Minutes, Hours]:
    """Two queries, whatever is kept."""
    split = (now_ms // 60_000 - MINUTES_KEPT) // 60 * 60
    minutes: Minutes = defaultdict(dict)
    fields = ("objective", "minute", "requests", "bad", "drill_bad")
    for name, minute, *counts in SloMinute.objects.filter(minute__gte=split).values_list(*fields):
        minutes[name][minute] = Counts(*counts)
    hours: Hours = defaultdict(dict)
    grouped = (
        SloMinute.objects.filter(minute__lt=split)
        .annotate(hour=F("minute") / 60)
        .values("objective", "hour")
        .annotate(
            all_requests=Sum("requests"),
            all_bad=Sum("bad"),
            all_drill_bad=Sum("drill_bad"),
            covered=Count("id"),
        )
    )
    for row in grouped:
        counts = Counts(row["all_requests"], row["all_bad"], row["all_drill_bad"])
        hours[row["objective"]][row["hour"]] = (counts, row["covered"])
    return minutes, hours
