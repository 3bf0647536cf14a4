"""The charts of the series port, each with what good looks like."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from console.live.facts import FLUSH


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
        _latency("write", fleet.slow_write_ms),
        _latency("read", fleet.slow_read_ms),
    )


def _latency(of: str, slow_ms: int) -> Chart:
    return Chart(
        key=of,
        title=f"{of.capitalize()} latency",
        good=f"p99 under {slow_ms} ms",
        unit="ms",
        lines=[(f"{of}_p99_ms", "p99", "strong"), (f"{of}_p50_ms", "p50", "muted")],
        objective=slow_ms,
    )


def flush_chart() -> Chart:
    """Flush p99 with a line for each node: what a slow disk looks like beside its peers."""
    nodes = [f"node-{number}" for number in range(settings.HOLDFAST.nodes)]
    return Chart(
        key="flush",
        title="Flush by node",
        good="p99, alike on all nodes",
        unit="ms",
        lines=[(f"{FLUSH}:{node}", node, node) for node in nodes],
    )
