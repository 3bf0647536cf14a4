"""The history of a drill: every operation, when it was asked and what came back.

The form is that of Jepsen, so that other checkers can read it: one line when an operation is
invoked and one when it completes, `{process, type, f, key, value, index, time}`, `time` in
nanoseconds from the drill's start on one monotonic clock. `type` ends as *ok* (it happened), *fail*
(it surely did not) or *info* (nobody knows: it may happen at any later moment, or never).

Every write carries a value that no other write of the drill carries, so a read names the write that
it saw. Absence is the value 0. A version is the ETag that came back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

ABSENT = 0


class Kind(StrEnum):
    """What an operation does to one key."""

    WRITE = "write"
    READ = "read"
    REPLACE = "replace"  # a write on the condition that `expected` is the version
    DELETE = "delete"


class Outcome(StrEnum):
    OK = "ok"
    FAIL = "fail"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Times in microseconds from the drill's start; `completed_us` is None while nobody knows.

    `client` is one thread of asking, never two at once; `path` says through which door. `value` is
    what was written, or what a read saw (None: it saw nothing, because it did not end well).
    """

    index: int
    client: int
    path: str
    kind: Kind
    key: str
    value: int | None
    size_bytes: int
    invoked_us: int
    expected: str = ""
    outcome: Outcome = Outcome.INFO
    completed_us: int | None = None
    version: str = ""
    error: str = ""

    @property
    def is_ok(self) -> bool:
        return self.outcome is Outcome.OK

    @property
    def was_served(self) -> bool:
        """Whether the store did its work, if only to say that a condition does not hold."""
        return self.is_ok or self.error.startswith("HTTP 4")

    @property
    def is_change(self) -> bool:
        return self.kind is not Kind.READ

    @property
    def latency_us(self) -> int | None:
        return None if self.completed_us is None else self.completed_us - self.invoked_us


def invoked(operation: Operation) -> str:
    """The line for an operation that is being asked."""
    line = {
        "index": operation.index,
        "process": operation.client,
        "type": "invoke",
        "f": operation.kind.value,
        "key": operation.key,
        "value": operation.value,
        "time": operation.invoked_us * 1000,
        "path": operation.path,
        "size": operation.size_bytes,
    }
    if operation.expected:
        line["expected"] = operation.expected
    return json.dumps(line)


def completed(operation: Operation) -> str:
    """The line for an operation that came back. Raises AssertionError if it did not."""
    assert operation.completed_us is not None, "an operation completes at a time"
    line = {
        "index": operation.index,
        "process": operation.client,
        "type": operation.outcome.value,
        "f": operation.kind.value,
        "key": operation.key,
        "value": operation.value,
        "time": operation.completed_us * 1000,
        "version": operation.version,
        "error": operation.error,
    }
    return json.dumps(line)


def parse(lines: Iterable[str]) -> list[Operation]:
    """Operations by index; one that never came back is *info*. A torn last line is left out."""
    found: dict[int, Operation] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            _take(found, entry)
        except (ValueError, KeyError, TypeError):
            continue
    return [found[index] for index in sorted(found)]


def _take(found: dict[int, Operation], entry: Mapping[str, object]) -> None:
    index, time_us = int(str(entry["index"])), int(str(entry["time"])) // 1000
    value = entry["value"]
    number = None if value is None else int(str(value))
    if entry["type"] == "invoke":
        found[index] = Operation(
            index=index,
            client=int(str(entry["process"])),
            path=str(entry["path"]),
            kind=Kind(str(entry["f"])),
            key=str(entry["key"]),
            value=number,
            size_bytes=int(str(entry["size"])),
            invoked_us=time_us,
            expected=str(entry.get("expected", "")),
        )
    elif index in found:
        found[index] = replace(
            found[index],
            outcome=Outcome(str(entry["type"])),
            completed_us=time_us,
            value=number,
            version=str(entry["version"]),
            error=str(entry["error"]),
        )
