"""The one file that says what is promised, read with errors that a person can act on.

Ours is `objectives.yaml` beside this module; `objectives.yaml` in the home takes its place. A file
with an error changes nothing: what was in force stays so, and the error names the file, the line,
the field and what is allowed there, wherever objectives are shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from telemetry.config import Settings
from telemetry.slo.counts import READS, WRITES, Objective

BUILT_IN: Final = Path(__file__).with_name("objectives.yaml")
FILE_BYTES_MAX: Final = 64 * 1024
TARGET_PERCENT: Final = (50.0, 99.999)
WINDOW_DAYS: Final = (1, 30)
THRESHOLD_MS: Final = (1.0, 600_000.0)

NAMES: Final[Mapping[str, tuple[str, bool]]] = {
    "write-availability": (WRITES, False),
    "write-latency": (WRITES, True),
    "read-availability": (READS, False),
    "read-latency": (READS, True),
}
"""What can be promised: of which requests, and whether it needs a threshold."""
TOP_FIELDS: Final = ("version", "window_days", "objectives")
FIELDS: Final = ("name", "target_percent", "threshold_ms")


class ObjectivesError(Exception):
    """The file can't be used. `line` is 1-based, 0 if the file could not be read at all."""

    def __init__(self, path: Path, line: int, field: str, allowed: str) -> None:
        place = f"{path}:{line}" if line else str(path)
        super().__init__(f"{place}: {field}: {allowed}")
        self.path = path
        self.line = line
        self.field = field
        self.allowed = allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """What is in force. `digest` tells one version from another; `error` is why a newer one is not
    in force, or "".
    """

    rows: tuple[Objective, ...]
    path: Path
    digest: str
    error: str = ""

    def by_name(self, name: str) -> Objective | None:
        return next((row for row in self.rows if row.name == name), None)

    @property
    def write_ms(self) -> float | None:
        """What a slow write is; None where nothing is promised of it."""
        row = self.by_name("write-latency")
        return row.threshold_ms if row else None

    @property
    def read_ms(self) -> float | None:
        """What a slow read is; None where nothing is promised of it."""
        row = self.by_name("read-latency")
        return row.threshold_ms if row else None


def load(settings: Settings) -> Objectives:
    """The home's file if there is one, else ours. Raises ObjectivesError."""
    own = settings.home / "objectives.yaml"
    path = own if own.exists() else BUILT_IN
    return parse(_read(path), path, settings)


def effective(settings: Settings, before: Objectives | None = None) -> Objectives:
    """What is in force after another look at the file: it if it is good; else `before`, or without
    that our own, with the error.
    """
    try:
        return load(settings)
    except ObjectivesError as error:
        kept = before or parse(_read(BUILT_IN), BUILT_IN, settings)
        return Objectives(rows=kept.rows, path=kept.path, digest=kept.digest, error=str(error))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ObjectivesError(path, 0, "file", f"can't be read: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise ObjectivesError(path, 0, "file", f"at most {FILE_BYTES_MAX} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ObjectivesError(path, line, "file", "UTF-8 text") from error


def parse(text: str, path: Path, settings: Settings) -> Objectives:
    """Read the text of a file. Raises ObjectivesError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ObjectivesError(path, line, "file", f"YAML, but {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ObjectivesError(path, 1, "file", "YAML text without control characters") from error
    reader = _Reader(path, settings)
    top = reader.fields(root, "file", TOP_FIELDS)
    for needed in ("version", "objectives"):
        if needed not in top:
            raise ObjectivesError(path, 1, needed, "is needed")
    reader.number(top["version"], "version", (1, 1))
    days = top.get("window_days")
    window_days = int(reader.number(days, "window_days", WINDOW_DAYS, whole=True)) if days else 30
    rows = reader.objectives(top["objectives"], window_days)
    digest = hashlib.sha256(repr(rows).encode()).hexdigest()[:12]
    return Objectives(rows=rows, path=path, digest=digest)


class _Reader:
    """Checks nodes of the document; each knows its line."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._named_ms = {
            "HOLDFAST_SLOW_WRITE_MS": float(settings.slow_write_ms),
            "HOLDFAST_SLOW_READ_MS": float(settings.slow_read_ms),
        }

    def _error(self, node: yaml.Node | None, field: str, allowed: str) -> ObjectivesError:
        line = node.start_mark.line + 1 if node is not None else 1
        return ObjectivesError(self._path, line, field, allowed)

    def fields(
        self, node: yaml.Node | None, where: str, known: tuple[str, ...]
    ) -> dict[str, yaml.Node]:
        """A mapping's values by their names, each known and given once."""
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, where, f"a mapping with {', '.join(known)}")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value)[:60]
            if name not in known:
                raise self._error(key, name, f"not known here; allowed are {', '.join(known)}")
            if name in found:
                raise self._error(key, name, "once")
            found[name] = value
        return found

    def number(
        self, node: yaml.Node, field: str, bounds: tuple[float, float], *, whole: bool = False
    ) -> float:
        """A number within its bounds, which are inclusive."""
        low, high = bounds
        allowed = f"a {'whole ' if whole else ''}number from {low:g} to {high:g}"
        is_number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        try:
            value = float(node.value) if is_number else None
        except (TypeError, ValueError):
            value = None
        if value is None or not low <= value <= high or (whole and value != int(value)):
            raise self._error(node, field, allowed)
        return value

    def objectives(self, node: yaml.Node, window_days: int) -> tuple[Objective, ...]:
        """The list, with each name at most once."""
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self._error(node, "objectives", f"a list of 1 to {len(NAMES)} objectives")
        rows: list[Objective] = []
        for item in node.value:
            row = self._objective(item, window_days)
            if row.name in {other.name for other in rows}:
                raise self._error(item, "name", f"{row.name} only once")
            rows.append(row)
        return tuple(rows)

    def _objective(self, item: yaml.Node, window_days: int) -> Objective:
        given = self.fields(item, "objectives", FIELDS)
        for needed in ("name", "target_percent"):
            if needed not in given:
                raise self._error(item, needed, "is needed")
        name = str(given["name"].value)
        if name not in NAMES:
            raise self._error(given["name"], "name", f"one of {', '.join(NAMES)}")
        of, needs_threshold = NAMES[name]
        threshold = given.get("threshold_ms")
        if needs_threshold and threshold is None:
            raise self._error(item, "threshold_ms", f"is needed for {name}")
        if not needs_threshold and threshold is not None:
            raise self._error(threshold, "threshold_ms", f"not for {name}")
        return Objective(
            name=name,
            of=of,
            target_percent=self.number(given["target_percent"], "target_percent", TARGET_PERCENT),
            threshold_ms=self._threshold(threshold) if threshold is not None else None,
            window_days=window_days,
        )

    def _threshold(self, node: yaml.Node) -> float:
        named = self._named_ms.get(str(node.value))
        if named is not None:
            return named
        if node.tag == "tag:yaml.org,2002:str":
            allowed = f"a number of ms, or one of {', '.join(self._named_ms)}"
            raise self._error(node, "threshold_ms", allowed)
        return self.number(node, "threshold_ms", THRESHOLD_MS)
