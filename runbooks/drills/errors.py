"""What can go wrong when somebody asks for a drill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.errors import RunError


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardResult:
    """One condition for a drill. `text` says what was seen, also where all is well."""

    name: str
    passed: bool
    text: str


class GuardsFailed(RunError):
    """Nothing was started: a drill now could hurt somebody."""

    status = 409

    def __init__(self, guards: Sequence[GuardResult]) -> None:
        failed = [guard for guard in guards if not guard.passed]
        told = "; ".join(f"{guard.name}: {guard.text}" for guard in failed)
        super().__init__(f"no drill now: {told}")
        self.guards = tuple(guards)


class NoSuchDrill(RunError):
    """There is no drill of that number."""

    status = 404

    def __init__(self, run_id: int) -> None:
        super().__init__(f"there is no drill {run_id}")


class NotRunning(RunError):
    """There is nothing to stop."""

    status = 409
