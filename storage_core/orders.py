"""What a keeper may tell a node, as values: fences, operations, switches that are on.

An order to a machine in trouble may arrive late: its sender was paused, gave up, and somebody else
has acted since. So an order can carry two proofs that it is still meant. A *fence* says which
leader in which term it was decided about. An *operation* says which attempt of which step of which
run it is; a node remembers the highest attempt of each and refuses all that are older.

Both ends of the admin port use this module, so that they can't disagree about a field. Pure.

Read next: `operations` for the memory, `keeper` for who obeys, `client` for who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

NAME_CHARS_MAX = 64
"""Of a run's step, a switch's owner, a setting."""


class BadOrder(ValueError):
    """A field that is missing or can't be meant. The sentence names field and limit."""


class Fence(NamedTuple):
    """Only while `leader` leads in `term`."""

    leader: int
    term: int

    def as_json(self) -> dict[str, Any]:
        return self._asdict()


class Operation(NamedTuple):
    """Attempt `attempt` (from 1) of step `step` of run `run`."""

    run: int
    step: str
    attempt: int

    def as_json(self) -> dict[str, Any]:
        return self._asdict()


class FaultState(NamedTuple):
    """One switch that is on: it ends by itself after `left_ms`."""

    kind: str
    params: Mapping[str, Any]
    owner: str
    left_ms: int

    def as_json(self) -> dict[str, Any]:
        return {**self._asdict(), "params": dict(self.params)}


def whole(body: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """A whole number within its limits. Raises BadOrder."""
    value = body.get(name)
    if type(value) is not int or not low <= value <= high:
        raise BadOrder(f"{name}: must be a whole number from {low} to {high}")
    return value


def number(body: Mapping[str, Any], name: str, low: float, high: float) -> float:
    """A number within its limits. Raises BadOrder."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadOrder(f"{name}: must be a number from {low:g} to {high:g}")
    return float(value)


def word(body: Mapping[str, Any], name: str) -> str:
    """A short text that prints. Raises BadOrder."""
    value = body.get(name)
    if type(value) is not str or not 0 < len(value) <= NAME_CHARS_MAX or not value.isprintable():
        raise BadOrder(f"{name}: must be 1 to {NAME_CHARS_MAX} printable characters")
    return value


def choice(body: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    """One of some words. Raises BadOrder."""
    value = body.get(name)
    if value not in allowed:
        raise BadOrder(f"{name}: must be one of {', '.join(allowed)}")
    return cast("str", value)


def flag(body: Mapping[str, Any], name: str) -> bool:
    """True or false. Raises BadOrder."""
    value = body.get(name)
    if type(value) is not bool:
        raise BadOrder(f"{name}: must be true or false")
    return value


NUMBER_MAX = (1 << 63) - 1


def fence_of(body: Mapping[str, Any]) -> Fence | None:
    """The order's fence; None if it has none. Raises BadOrder."""
    given = body.get("fence")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise BadOrder("fence: must hold leader and term")
    return Fence(whole(given, "leader", 0, NUMBER_MAX), whole(given, "term", 0, NUMBER_MAX))


def operation_of(body: Mapping[str, Any]) -> Operation | None:
    """The order's operation; None if it has none. Raises BadOrder."""
    given = body.get("operation")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise BadOrder("operation: must hold run, step and attempt")
    return Operation(
        whole(given, "run", 0, NUMBER_MAX),
        word(given, "step"),
        whole(given, "attempt", 1, NUMBER_MAX),
    )
