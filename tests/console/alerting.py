"""Alerts for tests of incidents and paging: a transition in a line, by what matters in it."""

from __future__ import annotations

from telemetry.slo.alerts import Transition

T0 = 1_750_000_000_000
"""A moment, Unix ms."""


def alert(
    rule: str = "write-latency",
    *,
    state: str = "firing",
    at_s: float = 12,
    onset_s: float = 0,
    severity: str = "page",
    value: float | None = 38.0,
    headline: str = "",
    **labels: str,
) -> Transition:
    """`at_s` and `onset_s` are seconds after T0."""
    return Transition(
        at_ms=T0 + int(at_s * 1000),
        rule=rule,
        tier="flash",
        severity=severity,
        state=state,
        headline=headline or f"{rule} is bad",
        started_ms=T0 + int(onset_s * 1000),
        labels=labels,
        value=value,
    )


def at(seconds: float) -> int:
    return T0 + int(seconds * 1000)
