"""What a run is made of: steps in order, frozen into the run when it starts.

A step's kind says what a crash in the middle of it means, and that is all the engine knows:
a *read* may be done again freely; an *idempotent* change may be sent again with the same key; a
*guarded* change must never be repeated blindly, so a lost attempt leaves the run `unknown` until
a person (or a later check) settles it. A kind of run is a value: its parameters' check and its
steps. The table of kinds is `runbooks.kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

JsonObject = dict[str, object]


class StepKind(StrEnum):
    READ = "read"
    IDEMPOTENT = "idempotent"
    GUARDED = "guarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step before it runs. `attempts` counts automatic ones; a person may allow more later."""

    name: str
    kind: StepKind
    attempts: int
    timeout_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunKind:
    """A kind of run. `check` returns the full parameters or raises `errors.BadParameter`."""

    name: str
    title: str
    queue: str
    deadline_s: int
    check: Callable[[str, Mapping[str, object]], JsonObject]
    steps: Callable[[JsonObject], tuple[PlannedStep, ...]]
