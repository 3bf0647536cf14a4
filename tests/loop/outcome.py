"""What came of one fault, and the table over many. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

AIMS = "aims: detected p50 20 s, named p50 10 s after the alert, right first 0.75"


class Outcome(NamedTuple):
    """Seconds: `detected_s` and `fixed_s` from the fault, `named_s` from the incident; None where
    it never came. `first` and `truth` are (entity, kind). `run` is how the runbook that started by
    itself ended, "" if none did. `note` says why a case is no case.
    """

    kind: str
    detected_s: float | None = None
    named_s: float | None = None
    fixed_s: float | None = None
    first: tuple[str, str] | None = None
    truth: tuple[str, str] | None = None
    run: str = ""
    note: str = ""

    @property
    def is_void(self) -> bool:
        """The drill was refused or ended early, so that it says nothing."""
        return self.truth is None

    @property
    def is_right(self) -> bool:
        return self.first is not None and self.first == self.truth

    def __str__(self) -> str:
        if self.is_void:
            return f"{self.kind}: void, {self.note}"
        said = " ".join(self.first) if self.first else "nothing"
        truth = " ".join(self.truth or ())
        right = "right" if self.is_right else f"said {said}, was {truth}"
        return (
            f"{self.kind}: detected {seconds(self.detected_s)}, named {seconds(self.named_s)}"
            f" later ({right}), run {self.run or 'none'}, fixed {seconds(self.fixed_s)}"
            + (f"; {self.note}" if self.note else "")
        )


def seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def middle(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.1f}" if known else "-"


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """A row for each kind in order of first appearance, a row for all, the misses, the aims."""
    head = ("fault", "faults", "noticed", "detect p50 s", "name p50 s", "fix p50 s", "right first")
    lines = ["  ".join(f"{word:<13}" for word in (*head, "runs done"))]
    kinds = list(dict.fromkeys(outcome.kind for outcome in outcomes))
    groups = [(kind, [one for one in outcomes if one.kind == kind]) for kind in kinds]
    for name, group in [*groups, ("all", list(outcomes))]:
        valid = [one for one in group if not one.is_void]
        noticed = [one for one in valid if one.detected_s is not None]
        right = sum(one.is_right for one in noticed)
        started = [one for one in noticed if one.run]
        done = sum(one.run == "done" for one in started)
        cells = (
            name,
            f"{len(valid)}"
            + (f" ({len(group) - len(valid)} void)" if len(valid) < len(group) else ""),
            str(len(noticed)),
            middle(one.detected_s for one in noticed),
            middle(one.named_s for one in noticed),
            middle(one.fixed_s for one in noticed),
            f"{right} of {len(noticed)}",
            f"{done} of {len(started)}",
        )
        lines.append("  ".join(f"{cell:<13}" for cell in cells))
    lines += [f"miss: {one}" for one in outcomes if not one.is_void and not one.is_right]
    return [*lines, AIMS]
