"""Which account takes what: a tenant is noisy if its share grew and so did the whole.

Pure. Requests and bytes are both looked at, since a flood of large objects is few requests. A load
that grew for everybody, or a share that grew because others went quiet, is nobody's noise. Our own
probe is no tenant; but it never stops, so a normal time without it was not recorded, and what was
not recorded can't have grown.
"""

from __future__ import annotations

from dataclasses import dataclass

from console.triage.evidence import Evidence, Window
from console.triage.findings import Line
from console.triage.measures import STEP_S, Symptom, ask_points, thin
from console.triage.robust import ramp
from telemetry import names

CANARY = "holdfastcanary"
RECORDED_MIN = 0.5
"""With a smaller part of the normal time on record, no growth is claimed."""
REQUESTS_A_SECOND_MIN = 5.0
BYTES_A_SECOND_MIN = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One account's part of all requests (or bytes), then and now."""

    account: str
    usual: float
    now: float
    growth: float
    """The whole now against the whole before."""


def of(evidence: Evidence) -> dict[str, Symptom]:
    """A symptom for every account that grew, by name; empty where accounts are not told."""
    found: dict[str, Symptom] = {}
    for metric, least, what in (
        (names.ACCOUNT_DURATION.name, REQUESTS_A_SECOND_MIN, "requests"),
        (names.ACCOUNT_BYTES.name, float(BYTES_A_SECOND_MIN), "bytes"),
    ):
        for share in shares(evidence, metric, least):
            symptom = _symptom(evidence, share, metric, what)
            before = found.get(share.account)
            if before is None or (symptom.strength or 0.0) > (before.strength or 0.0):
                found[share.account] = symptom
    return found


def is_seen(evidence: Evidence) -> bool:
    """Whether requests are told by account at all."""
    return bool(evidence.curves_of(names.ACCOUNT_DURATION.name))


def recorded(evidence: Evidence) -> float:
    """Which part of the normal time any request at all was reported in, from 0 to 1."""
    since_ms, until_ms = evidence.normal
    steps = {
        point.at_ms // (STEP_S * 1000)
        for curve in evidence.curves_of(names.ACCOUNT_DURATION.name)
        for point in curve.points
        if since_ms <= point.at_ms < until_ms
    }
    return len(steps) * STEP_S * 1000 / max(STEP_S * 1000, until_ms - since_ms)


def shares(evidence: Evidence, metric: str, least: float) -> list[Share]:
    if recorded(evidence) < RECORDED_MIN:
        return []
    usual, now = (_rates(evidence, metric, each) for each in (evidence.normal, evidence.now))
    usual_sum, now_sum = sum(usual.values()), sum(now.values())
    if now_sum < least:
        return []
    return [
        Share(
            account=account,
            usual=usual.get(account, 0.0) / usual_sum if usual_sum else 0.0,
            now=rate / now_sum,
            growth=now_sum / max(usual_sum, least),
        )
        for account, rate in now.items()
    ]


def _rates(evidence: Evidence, metric: str, window: Window) -> dict[str, float]:
    """Requests or bytes a second by account, all nodes together."""
    seconds = max(1.0, (window[1] - window[0]) / 1000)
    rates: dict[str, float] = {}
    for curve in evidence.curves_of(metric):
        if curve.of in ("", CANARY):
            continue
        total = sum(
            point.count or point.total
            for point in curve.points
            if window[0] <= point.at_ms < window[1]
        )
        rates[curve.of] = rates.get(curve.of, 0.0) + total / seconds
    return rates


def _symptom(evidence: Evidence, share: Share, metric: str, what: str) -> Symptom:
    strength = min(ramp(share.now - share.usual, 0.15, 0.45), ramp(share.growth, 1.3, 2.2))
    steps: dict[int, float] = {}
    for curve in evidence.curves_of(metric):
        if curve.of == share.account:
            for point in curve.points:
                value = float(point.count or point.total)
                steps[point.at_ms] = steps.get(point.at_ms, 0.0) + value / STEP_S
    return Symptom(
        strength=strength,
        line=Line(
            sentence=f"Account {share.account} makes {100 * share.now:.0f} % of all {what}, before "
            f"{100 * share.usual:.0f} %; all together {share.growth:.1f} times as much",
            unit="/s",
            points=thin(sorted(steps.items())),
            question=ask_points(evidence, metric, by=names.ACCOUNT),
        ),
    )
