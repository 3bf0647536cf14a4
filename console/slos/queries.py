"""What pages, commands and runbooks may ask about objectives. From the watcher's file, no table."""

from dataclasses import dataclass

from django.conf import settings

from console.slos.state import ObjectiveRow, Overview, read
from runbooks import clock
from telemetry.slo.burn import BUDGET_COUNTS_FROM_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What is left of one objective's budget, in percent of it, below 0 if it is overdrawn.
    `drill_percent` of it was spent by drills, `burn` is over the last hour, `measured_s` is for how
    long requests were counted.
    """

    name: str
    left_percent: float
    drill_percent: float
    burn: float
    measured_s: int

    @property
    def counts(self) -> bool:
        """Whether it was measured for long enough to be believed."""
        return self.measured_s >= BUDGET_COUNTS_FROM_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Whether every objective was met over the last 30 s, and since when (Unix ms) it is so. `met`
    is None where that can't be told; `reason` then says why. `burning` names those not met.
    """

    met: bool | None
    since_ms: int | None
    as_of_ms: int | None
    burning: tuple[str, ...]
    reason: str


def overview() -> Overview:
    """All that the watcher knows."""
    return read(settings.HOLDFAST.run, now_ms=clock.now_ms())


def worst_first(rows: tuple[ObjectiveRow, ...]) -> tuple[ObjectiveRow, ...]:
    """Those that are not met, then by what is left."""
    return tuple(sorted(rows, key=lambda row: (row.met is not False, row.left_percent, -row.burn)))


def budgets() -> tuple[Budget, ...]:
    """Worst first; empty while no watcher speaks."""
    found = overview()
    if not found.is_fresh:
        return ()
    return tuple(budget_of(row) for row in worst_first(found.objectives))


def budget_of(row: ObjectiveRow) -> Budget:
    return Budget(
        name=row.name,
        left_percent=row.left_percent,
        drill_percent=row.drill_percent,
        burn=row.burn,
        measured_s=row.measured_s,
    )


def status() -> Status:
    """Met or not, and since when: what "fixed" rests on."""
    return status_of(overview())


def status_of(found: Overview) -> Status:
    if not found.is_fresh:
        reason = "the watcher has written nothing yet"
        if found.at_ms is not None:
            reason = f"the watcher is silent since {clock.as_text(found.at_ms)}"
        return Status(met=None, since_ms=None, as_of_ms=found.at_ms, burning=(), reason=reason)
    reason = ""
    if found.met is None:
        unseen = [row.name for row in found.objectives if row.met is None]
        reason = f"nobody counts for {', '.join(unseen)}" if unseen else "nothing is promised"
    return Status(
        met=found.met,
        since_ms=found.met_since_ms,
        as_of_ms=found.at_ms,
        burning=tuple(row.name for row in found.objectives if row.met is False),
        reason=reason,
    )
