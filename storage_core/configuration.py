"""The settings that a node goes by now, and may change without a restart.

A page that shows what was configured shows a wish. This reads each value from the part that obeys
it, so that what is shown is in force. A change holds until the node restarts; the bounds keep it
from stopping the node for good, not from being a bad idea: a bad idea is what a drill needs.

What always holds: a value out of bounds changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from storage_core.orders import BadOrder, whole

if TYPE_CHECKING:
    from storage_core.cache.bodies import BodyCache
    from storage_core.core import Core
    from storage_core.frontend.front import FrontEnd

KIB = 1024
MIB = 1024 * KIB


class Parts(NamedTuple):
    """Who obeys."""

    core: Core
    cache: BodyCache
    front_end: FrontEnd


class Setting(NamedTuple):
    """One of them. Bounds are inclusive, in the unit that the name ends with."""

    low: int
    high: int
    get: Callable[[Parts], int]
    set: Callable[[Parts, int], None]
    meaning: str


def _limit(field: str) -> tuple[Callable[[Parts], int], Callable[[Parts, int], None]]:
    """A field of the pipeline's limits, which are one frozen value."""

    def get(parts: Parts) -> int:
        return int(getattr(parts.core.limits, field))

    def set_(parts: Parts, value: int) -> None:
        parts.core.limits = parts.core.limits._replace(**{field: value})

    return get, set_


def _set_budget(parts: Parts, value: int) -> None:
    parts.front_end.budget.bytes_max = value


def _set_wait(parts: Parts, value: int) -> None:
    parts.front_end.request_us = value * 1000


SETTINGS: Mapping[str, Setting] = {
    "batch_records": Setting(
        1, 256, *_limit("batch_records"), "Entries of one group commit, at most."
    ),
    "writes_in_flight": Setting(
        1, 8, *_limit("writes_in_flight"), "Group commits on their way to disk at one time."
    ),
    "apply_records": Setting(
        1, 1024, *_limit("apply_records"), "Entries applied in one slice of the loop."
    ),
    "cache_bytes": Setting(
        0,
        4096 * MIB,
        lambda parts: parts.cache.bytes_max,
        lambda parts, value: parts.cache.resize(value),
        "Memory for small bodies.",
    ),
    "unreplicated_bytes": Setting(
        64 * KIB,
        1024 * MIB,
        lambda parts: parts.front_end.budget.bytes_max,
        _set_budget,
        "Body bytes received and not yet replicated; above it clients are read no further.",
    ),
    "request_wait_ms": Setting(
        1,
        300_000,
        lambda parts: parts.front_end.request_us // 1000,
        _set_wait,
        "How long a request waits for the store before it fails.",
    ),
}


class Configuration:
    """Reads and changes the settings of one node."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def effective(self) -> dict[str, int]:
        """Every setting's value, as it is obeyed now."""
        return {name: setting.get(self._parts) for name, setting in SETTINGS.items()}

    def change(self, body: Mapping[str, Any]) -> dict[str, int]:
        """Set `name` to `value`. Raises BadOrder."""
        name = body.get("name")
        if not isinstance(name, str) or name not in SETTINGS:
            raise BadOrder(f"name: must be one of {', '.join(SETTINGS)}")
        setting = SETTINGS[name]
        setting.set(self._parts, whole(body, "value", setting.low, setting.high))
        return self.effective()
