"""The charts of the series port, each with what good looks like."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A plot of the series port. `good` says what good looks like."""

    key: str
    title: str
    good: str
    unit: str
    lines: Sequence[tuple[str, str, str]]  # (series, label, style)
    objective: float | None = None

    @property
    def line_text(self) -> str:
        return ";".join(",".join(line) for line in self.lines)


def charts() -> Sequence[Chart]:
    fleet = settings.HOLDFAST
    p99, p50 = ("p99", "strong"), ("p50", "muted")
    return (
        Chart(
            key="requests",
            title="Requests",
            good="steady",
            unit="/s",
            lines=[("requests_per_s", "all", "strong")],
        ),
        Chart(
            key="failed",
            title="Failed",
            good="0 is good, above 1 pages",
            unit="%",
            lines=[("failed_percent", "failed", "strong")],
            objective=1,
        ),
        Chart(
            key="write",
            title="Write latency",
            good=f"p99 under {fleet.slow_write_ms} ms",
            unit="ms",
            lines=[("write_p99_ms", *p99), ("write_p50_ms", *p50)],
            objective=fleet.slow_write_ms,
        ),
        Chart(
            key="read",
            title="Read latency",
            good=f"p99 under {fleet.slow_read_ms} ms",
            unit="ms",
            lines=[("read_p99_ms", *p99), ("read_p50_ms", *p50)],
            objective=fleet.slow_read_ms,
        ),
    )
