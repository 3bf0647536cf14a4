"""What past runs prove of a runbook: "12 of 12, median 21 s, undo proven", or nothing.

Every real run of the name counts, in a drill or in an incident, whoever started it. A dry run
proves nothing, and neither does a run that somebody cancelled or declined. How many runs were of
the very text in force is told apart, since a step may have changed.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Window
from django.db.models.functions import RowNumber

from runbooks.engine.states import Mode, RunState
from runbooks.models import Run

RUNS_LOOKED_AT_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """`median_s` is None where nothing succeeded, `last_at` (aware UTC) where nothing ran."""

    done: int
    tried: int
    median_s: float | None
    undo_is_proven: bool
    last_at: datetime | None
    of_this_text: int

    @property
    def is_proven(self) -> bool:
        return self.done > 0

    @property
    def sentence(self) -> str:
        """For the page, without the time."""
        if not self.tried:
            return "Never proven here"
        if not self.done:
            return f"Never proven here: 0 of {self.tried}"
        undo = "; undo proven" if self.undo_is_proven else ""
        return f"{self.done} of {self.tried}, median {self.median_s:.0f} s{undo}"


@dataclass(frozen=True, slots=True)
class _Past:
    state: str
    undo_state: str
    content_hash: str
    started_at: datetime | None
    finished_at: datetime


def of(name: str, *, content_hash: str = "") -> Proof:
    """What the newest runs of this runbook prove. One query."""
    return many((name,), {name: content_hash})[name]


def many(names: tuple[str, ...], hashes: dict[str, str]) -> dict[str, Proof]:
    """As `of` for several runbooks, in one query. `hashes` are those of the texts in force."""
    ended = [s.value for s in (RunState.DONE, RunState.FAILED, RunState.UNKNOWN)]
    runs = Run.objects.filter(kind__in=names, mode=Mode.REAL.value, state__in=ended)
    if len(names) > 1:
        # The newest of each: one that runs every hour must not hide what others proved.
        place = Window(RowNumber(), partition_by="kind", order_by="-id")
        runs = runs.annotate(place=place).filter(place__lte=RUNS_LOOKED_AT_MAX)
    rows = runs.order_by("-id").values_list(
        "kind", "state", "undo_state", "content_hash", "started_at", "finished_at"
    )[: RUNS_LOOKED_AT_MAX * len(names)]
    found: dict[str, list[_Past]] = {name: [] for name in names}
    for kind, state, undo_state, text_hash, started_at, finished_at in rows:
        assert finished_at is not None, "a run that ended has a time"
        found[kind].append(_Past(state, undo_state, text_hash, started_at, finished_at))
    return {name: _proof(past, hashes.get(name, "")) for name, past in found.items()}


def _proof(past: list[_Past], content_hash: str) -> Proof:
    done = [run for run in past if run.state == RunState.DONE.value]
    took_s = [
        (run.finished_at - run.started_at).total_seconds()
        for run in done
        # A run that was taken back later ended twice; how long it took is not known any more.
        if run.started_at is not None and not run.undo_state
    ]
    undone = [run.undo_state for run in past if run.undo_state]
    return Proof(
        done=len(done),
        tried=len(past),
        median_s=statistics.median(took_s) if took_s else (0.0 if done else None),
        # What counts is the last time that anybody needed it.
        undo_is_proven=bool(undone) and undone[0] == RunState.DONE.value,
        last_at=past[0].finished_at if past else None,
        of_this_text=sum(1 for run in past if run.content_hash == content_hash),
    )
