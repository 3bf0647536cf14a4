"""How objectives stand right now, passed from the watcher to every other process by a file.

The watcher replaces `run/slo.json` each second, whole. Pages, commands and runbooks read it: it can
be read while the database is locked and telemetry is dead, and it costs nobody a question. A file
that is older than STALE_MS says nothing of now; whoever shows it says so.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage_core.fleet.home import replace_file
from telemetry.slo.alerts import Firing
from telemetry.slo.burn import TIERS
from telemetry.slo.judge import Standing, Turned
from telemetry.slo.objectives import Objectives

FILE_NAME = "slo.json"
STALE_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TierRow:
    """Burn over one tier's windows. `measured` is False while the long one is mostly empty."""

    name: str
    severity: str
    burn: float
    long_burn: float
    short_burn: float
    measured: bool
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveRow:
    """One objective. `met` is over the last 30 s, None where it can't be told."""

    name: str
    of: str
    target_percent: float
    threshold_ms: float | None
    window_days: int
    met: bool | None
    quiet: bool
    requests: int
    bad: int
    left_percent: float
    drill_percent: float
    burn: float
    measured_s: int
    tiers: tuple[TierRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringRow:
    """An alert that fires. `now` is its headline with the newest numbers."""

    key: str
    rule: str
    tier: str
    severity: str
    headline: str
    now: str
    started_ms: int
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What the watcher last wrote. `at_ms` is None if it never wrote anything."""

    at_ms: int | None
    is_fresh: bool
    met: bool | None
    met_since_ms: int | None
    source: str  # telemetry | nodes | ""
    error: str  # of the objectives' file, or ""
    path: str
    digest: str
    unrecorded: int
    lost: int
    objectives: tuple[ObjectiveRow, ...]
    firing: tuple[FiringRow, ...]


NOTHING_WRITTEN = Overview(
    at_ms=None,
    is_fresh=False,
    met=None,
    met_since_ms=None,
    source="",
    error="",
    path="",
    digest="",
    unrecorded=0,
    lost=0,
    objectives=(),
    firing=(),
)


def write(
    run_folder: Path, turned: Turned, objectives: Objectives, *, unrecorded: int, lost: int
) -> None:
    """Replace the file. Raises OSError."""
    document = {
        "at_ms": turned.now_ms,
        "met": turned.met,
        "met_since_ms": None if turned.met_since_s is None else turned.met_since_s * 1000,
        "source": turned.source,
        "error": objectives.error,
        "path": str(objectives.path),
        "digest": objectives.digest,
        "unrecorded": unrecorded,
        "lost": lost,
        "objectives": [_objective(standing) for standing in turned.standings],
        "firing": [_firing(each) for each in turned.firing],
    }
    replace_file(run_folder / FILE_NAME, json.dumps(document))


def _objective(standing: Standing) -> dict[str, object]:
    objective, budget = standing.objective, standing.budget
    return {
        "name": objective.name,
        "of": objective.of,
        "target_percent": objective.target_percent,
        "threshold_ms": objective.threshold_ms,
        "window_days": objective.window_days,
        "met": standing.met,
        "quiet": standing.quiet,
        "requests": standing.recent.requests,
        "bad": standing.recent.bad,
        "left_percent": round(budget.left_percent, 3),
        "drill_percent": round(budget.drill_percent, 3),
        "burn": round(budget.burn, 3),
        "measured_s": budget.measured_s,
        "tiers": [
            {
                "name": reading.tier.name,
                "long_burn": round(reading.long_burn, 3),
                "short_burn": round(reading.short_burn, 3),
                "measured": reading.measured,
                "holds": reading.holds,
            }
            for reading in standing.tiers
        ],
    }


def _firing(firing: Firing) -> dict[str, object]:
    told = firing.told
    return {
        "key": told.key,
        "rule": told.rule,
        "tier": told.tier,
        "severity": told.severity,
        "headline": told.headline,
        "now": firing.latest.headline,
        "started_ms": told.started_ms,
        "labels": dict(told.labels),
    }


def read(run_folder: Path, *, now_ms: int) -> Overview:
    """What the watcher last wrote; a damaged file is none."""
    try:
        found = json.loads((run_folder / FILE_NAME).read_text(encoding="utf-8"))
        return _decode(found, now_ms)
    except (OSError, ValueError, KeyError, TypeError):
        return NOTHING_WRITTEN


_TIERS = {tier.name: tier for tier in TIERS}


def _decode(found: Mapping[str, Any], now_ms: int) -> Overview:
    return Overview(
        at_ms=int(found["at_ms"]),
        is_fresh=now_ms - int(found["at_ms"]) <= STALE_MS,
        met=found["met"],
        met_since_ms=found["met_since_ms"],
        source=str(found["source"]),
        error=str(found["error"]),
        path=str(found["path"]),
        digest=str(found["digest"]),
        unrecorded=int(found["unrecorded"]),
        lost=int(found["lost"]),
        objectives=tuple(_decode_objective(row) for row in found["objectives"]),
        firing=tuple(FiringRow(**row) for row in found["firing"]),
    )


def _decode_objective(row: Mapping[str, Any]) -> ObjectiveRow:
    tiers = tuple(
        TierRow(severity=_TIERS[t["name"]].severity, burn=_TIERS[t["name"]].burn, **t)
        for t in row["tiers"]
        if t["name"] in _TIERS
    )
    return ObjectiveRow(**{**row, "tiers": tiers})
