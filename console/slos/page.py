"""What the SLOs page and the Budgets panel show, decided here so that templates only lay it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from console.alerts.queries import recent_alerts
from console.figures import clock_time, span, three
from console.live.badge import badge_of
from console.live.observatory import Picture
from console.slos.queries import overview, worst_first
from console.slos.state import FiringRow, ObjectiveRow, Overview
from console.verdict import State, Verdict, plural
from telemetry.slo.burn import BUDGET_COUNTS_FROM_S, TIERS

PANEL_ROWS = 3
ALERT_ROWS = 50
WINDOWS = tuple(reversed(TIERS))
"""Columns of burn, shortest window first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """One objective as a row. `burns` are by WINDOWS, None where a window is mostly empty."""

    name: str
    promise: str
    state: State
    word: str
    bad: str
    burn: float | None
    burns: Sequence[float | None]
    left_percent: float
    drill_percent: float
    left: str
    drill: str
    counts: bool


def promise_of(row: ObjectiveRow) -> str:
    """99.9 % of writes without an error, over 30 days."""
    good = f"within {row.threshold_ms:g} ms" if row.threshold_ms is not None else "without an error"
    return f"{row.target_percent:g} % of {row.of} {good}, over {row.window_days} days"


def line_of(row: ObjectiveRow, *, is_fresh: bool) -> BudgetLine:
    state, word = state_of(row, is_fresh=is_fresh)
    by_name = {tier.name: tier for tier in row.tiers}
    burns = [
        by_name[tier.name].long_burn if _told(by_name, tier.name) else None for tier in WINDOWS
    ]
    drill = f"{three(row.drill_percent)} % by drills" if row.drill_percent >= 0.01 else ""
    return BudgetLine(
        name=row.name,
        promise=promise_of(row),
        state=state,
        word=word,
        bad=f"{row.bad:,} of {row.requests:,}",
        burn=row.burn if is_fresh else None,
        burns=burns,
        left_percent=row.left_percent,
        drill_percent=row.drill_percent,
        left=left_words(row.left_percent),
        drill=drill,
        counts=row.measured_s >= BUDGET_COUNTS_FROM_S,
    )


def _told(by_name: dict[str, Any], name: str) -> bool:
    return name in by_name and by_name[name].measured


def left_words(left_percent: float) -> str:
    if left_percent < 0:
        return f"overdrawn by {three(-left_percent)} %"
    # A budget that lost anything is never written as whole.
    shown = min(left_percent, 99.9) if left_percent < 100 else left_percent
    return f"{three(shown)} % left" if shown < 100 else "100 % left"


def state_of(row: ObjectiveRow, *, is_fresh: bool) -> tuple[State, str]:
    if not is_fresh or row.met is None:
        return "unknown", "not seen"
    if row.quiet and row.met:
        return "idle", "quiet"
    if any(tier.holds and tier.severity == "page" for tier in row.tiers):
        return "firing", "burning"
    return ("ok", "met") if row.met else ("warning", "not met")


def measured_note(found: Overview) -> str:
    """Said while nothing was measured for long enough."""
    shortest_s = min((row.measured_s for row in found.objectives), default=0)
    if not found.objectives or shortest_s >= BUDGET_COUNTS_FROM_S:
        return ""
    return f"Measured for {span(shortest_s)}: budgets count from {span(BUDGET_COUNTS_FROM_S)} on"


def budget_context() -> dict[str, Any]:
    """The panel on the first page: the worst three."""
    found = overview()
    rows = worst_first(found.objectives)[:PANEL_ROWS]
    return {
        "slo": found,
        "budgets": [line_of(row, is_fresh=found.is_fresh) for row in rows],
        "measured_note": measured_note(found),
    }


def alert_verdict(found: Overview, health: Verdict) -> Verdict:
    """The first page's answer: what pages comes before what the parts say of themselves, and that
    comes before what can wait for the morning.
    """
    if not found.is_fresh or not found.firing:
        return health
    worst = found.firing[0]
    if worst.severity != "page" and health.state not in ("ok", "idle"):
        return health
    return Verdict(
        state="firing" if worst.severity == "page" else "warning",
        sentence=worst.now,
        context=" · ".join(part for part in (*_about(worst, found), health.context) if part),
    )


def _about(worst: FiringRow, found: Overview) -> tuple[str, str, str]:
    drill = f"drill {worst.labels['drill']} is doing this" if "drill" in worst.labels else ""
    more = len(found.firing) - 1
    others = f"{plural(more, 'more alert')}" if more else ""
    return f"alert since {clock_time(worst.started_ms)} UTC", drill, others


def slos_verdict(found: Overview) -> Verdict:
    context = context_of(found)
    if found.at_ms is None:
        return Verdict(
            state="unknown",
            sentence="Objectives can't be seen: the watcher has written nothing yet",
            context=context,
        )
    if not found.is_fresh:
        sentence = (
            f"Objectives can't be seen: the watcher is silent since {clock_time(found.at_ms)} UTC"
        )
        return Verdict(state="unknown", sentence=sentence, context=context)
    if found.firing:
        worst = found.firing[0]
        state: State = "firing" if worst.severity == "page" else "warning"
        return Verdict(state=state, sentence=worst.now, context=context)
    total, since = len(found.objectives), clock_time(found.met_since_ms)
    missed = [row.name for row in found.objectives if row.met is False]
    if missed:
        sentence = f"{', '.join(missed)} not met over the last 30 s, since {since} UTC"
        return Verdict(state="warning", sentence=sentence, context=context)
    unseen = [row.name for row in found.objectives if row.met is None]
    if unseen:
        sentence = f"{len(unseen)} of {plural(total, 'objective')} can't be seen"
        return Verdict(state="unknown", sentence=sentence, context=context)
    sentence = f"All {plural(total, 'objective')} met since {since} UTC"
    return Verdict(state="ok", sentence=sentence, context=context)


def context_of(found: Overview) -> str:
    told = []
    if found.error:
        told.append(f"objectives.yaml is not in force: {found.error}")
    if found.is_fresh and found.source == "nodes":
        told.append("Counted by the nodes: telemetry doesn't answer, so slow requests aren't seen")
    if found.lost or found.unrecorded > 5:
        told.append(f"{found.unrecorded} not written down yet, {found.lost} lost")
    return " · ".join(told) or measured_note(found)


def live_context(picture: Picture) -> dict[str, Any]:
    found = overview()
    return {
        "verdict": slos_verdict(found),
        "badge": badge_of(picture),
        "slo": found,
        "windows": [window_name(tier.long_s) for tier in WINDOWS],
        "lines": [line_of(row, is_fresh=found.is_fresh) for row in worst_first(found.objectives)],
        "measured_note": measured_note(found),
        "alerts": recent_alerts(ALERT_ROWS),
    }


def window_name(seconds: int) -> str:
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"
