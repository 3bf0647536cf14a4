"""Which attempt of a step has been here: the memory that makes a late order harmless.

A worker that carried out half a step may be paused for a minute and wake up after another attempt
has been made, or after somebody settled the matter by hand. Before anybody acts on an unknown
outcome, the fence of that (run, step) is raised here; the older attempt is then refused, whenever
it arrives. Each row also says whether the step was done, which is what `unknown` wants to know.

What always holds: the attempt of a row never goes back; a refused order changes nothing. The table
is bounded, the row that was longest untouched goes first: a run of last month sends nothing more.
Pure.

Read next: `keeper`, which keeps the table over restarts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from storage_core.orders import Operation

ROWS_MAX = 1024
"""Steps of some hundred runs, far more than can be late."""


class Row(NamedTuple):
    """The highest attempt of one step, and whether it, or one before it, was carried out."""

    run: int
    step: str
    attempt: int
    was_done: bool


class Operations:
    """All that a node remembers, newest last."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self._rows = {(row.run, row.step): row for row in rows[-ROWS_MAX:]}

    def rows(self) -> list[Row]:
        """The whole memory, longest untouched first."""
        return list(self._rows.values())

    def admits(self, operation: Operation) -> bool:
        """False for an attempt older than one that was here, or than the fence."""
        known = self._rows.get((operation.run, operation.step))
        return known is None or operation.attempt >= known.attempt

    def done(self, operation: Operation) -> None:
        """It was carried out. Only for what `admits` let pass."""
        assert self.admits(operation), operation
        self._keep(Row(*operation, True))

    def raise_fence(self, run: int, step: str, attempt: int) -> bool:
        """Refuse attempts below `attempt` from now on. True if the step was done before."""
        known = self._rows.get((run, step))
        was_done = known is not None and known.was_done
        raised = max(attempt, known.attempt if known is not None else 0)
        self._keep(Row(run, step, raised, was_done))
        return was_done

    def _keep(self, row: Row) -> None:
        self._rows.pop((row.run, row.step), None)
        self._rows[row.run, row.step] = row
        while len(self._rows) > ROWS_MAX:
            del self._rows[next(iter(self._rows))]
