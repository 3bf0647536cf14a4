"""Reads a runbook file, and says of each error the line, the field and what is allowed there.

Three looks, each only if the one before found nothing: is it YAML of plain values; does it have
the form of `schema.json`; does it make sense (actions that exist, parameters that they take,
expressions that can be read, names that lead to steps). The places come from the YAML parser's own
marks, so a line number is that of the file the person has open.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from runbooks.engine import expression
from runbooks.engine.expression import BadExpression
from runbooks.engine.plan import StepKind
from runbooks.kinds import KINDS
from runbooks.library.definition import Runbook, build, seconds
from runbooks.limits import STEP_TIMEOUT_S_MAX
from runbooks.steps.table import STEP_ACTIONS

FILE_BYTES_MAX: Final = 64 * 1024
DEPTH_MAX: Final = 12
SCHEMA: Final = json.loads(Path(__file__).parent.with_name("schema.json").read_text("utf-8"))
VALIDATOR: Final = Draft202012Validator(SCHEMA)

Path_ = Sequence[str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with a file. `line` counts from 1; `field` is a path such as steps.2.with."""

    file: str
    line: int
    field: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field or 'the file'}: {self.expected}"


class BadRunbook(Exception):
    """The file can't be used; `problems` says why, first things first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def read(data: bytes, *, file: str, is_own: bool) -> Runbook:
    """The runbook in these bytes. Raises BadRunbook."""
    if len(data) > FILE_BYTES_MAX:
        raise _bad(file, 1, "", f"at most {FILE_BYTES_MAX} bytes")
    try:
        text = data.decode("utf-8")
        root, document = _load(text, file)
    except UnicodeDecodeError as error:
        raise _bad(file, 1, "", "text in UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise _bad(file, line, "", f"YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _bad(file, 1, "", f"YAML: {error}") from error
    places = _Places(file, root)
    broken = sorted(VALIDATOR.iter_errors(document), key=lambda e: places.line(e.absolute_path))
    problems = [places.problem(e.absolute_path, _told(e)) for e in broken]
    problems = problems or list(_nonsense(document, places))
    if problems:
        raise BadRunbook(problems)
    digest = hashlib.sha256(data).hexdigest()
    return build(document, text=text, content_hash=digest, path=file, is_own=is_own)


def _load(text: str, file: str) -> tuple[yaml.Node, Any]:
    """The marked nodes and the plain values, from one parse. The parser in C where there is one."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        root = loader.get_single_node()
        _plain(root, file, 0)
        assert root is not None, "an empty file is no mapping"
        return root, loader.construct_document(root)
    finally:
        loader.dispose()


class _Places:
    """Where each field stands in the file."""

    def __init__(self, file: str, root: yaml.Node) -> None:
        self._file = file
        self._root = root
        self.stem = Path(file).stem if file.endswith(".yaml") else ""

    def line(self, path: Path_) -> int:
        """The line of a field, or of the nearest thing that there is around it."""
        node, line = self._root, self._root.start_mark.line
        for part in path:
            found = self._inner(node, part)
            if found is None:
                break
            node, line = found
        return line + 1

    def problem(self, path: Path_, expected: str) -> Problem:
        field = ".".join(str(part) for part in path)
        return Problem(file=self._file, line=self.line(path), field=field, expected=expected)

    @staticmethod
    def _inner(node: yaml.Node, part: str | int) -> tuple[yaml.Node, int] | None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    return value, key.start_mark.line
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            inner = node.value[part]
            return inner, inner.start_mark.line
        return None


def _plain(node: yaml.Node | None, file: str, depth: int) -> None:
    """No anchors that blow up, no keys twice, no depth without end. Raises BadRunbook."""
    if node is None:
        raise _bad(file, 1, "", "a mapping with apiVersion, kind, metadata, ...")
    line = node.start_mark.line + 1
    if depth > DEPTH_MAX:
        raise _bad(file, line, "", f"at most {DEPTH_MAX} levels; no value inside itself")
    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value]
        for key, value in node.value:
            if not isinstance(key.value, str) or names.count(key.value) > 1:
                line = key.start_mark.line + 1
                raise _bad(file, line, str(key.value), "each name once, as a text")
            _plain(value, file, depth + 1)
    if isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            _plain(inner, file, depth + 1)


def _told(error: ValidationError) -> str:
    """The schema's complaint in our words."""
    if error.validator == "additionalProperties" and isinstance(error.schema, dict):
        known = ", ".join(sorted(error.schema.get("properties", {})))
        return f"{error.message}; known are {known}"
    if error.validator == "enum" and isinstance(error.validator_value, list):
        return f"{error.instance!r}; expected one of {', '.join(map(str, error.validator_value))}"
    if error.validator == "oneOf":
        return "either action or approval expected"
    return str(error.message)


def _bad(file: str, line: int, field: str, expected: str) -> BadRunbook:
    return BadRunbook([Problem(file=file, line=line, field=field, expected=expected)])


def _nonsense(document: Mapping[str, Any], places: _Places) -> Iterator[Problem]:
    """What has the right form and can't be meant."""
    name = document["metadata"]["name"]
    if name in KINDS:
        yield places.problem(("metadata", "name"), f"{name} is a built-in kind of run")
    if places.stem not in ("", name):
        yield places.problem(("metadata", "name"), f"{places.stem}, as the file is called")
    known = {"target", "run_id", "fleet", *document.get("params", {})}
    names = [step["id"] for step in document["steps"]]
    for position, step in enumerate(document["steps"]):
        path = ("steps", position)
        if names.count(step["id"]) > 1 or step["id"] in known - set(names[:position]):
            yield places.problem((*path, "id"), f"{step['id']} is taken; each name once")
        leads_on = step.get("onFailure", "abort").removeprefix("step:")
        if leads_on != "abort" and leads_on not in names[position + 1 :]:
            yield places.problem((*path, "onFailure"), "abort or step:ID of a later step")
        if "action" in step:
            yield from _nonsense_of_step(step, path, places, known)
            if "undo" in step:
                inside = known | {step["id"]}
                yield from _nonsense_of_step(step["undo"], (*path, "undo"), places, inside)
        known.add(step["id"])


def _nonsense_of_step(
    step: Mapping[str, Any], path: tuple[str | int, ...], places: _Places, known: set[str]
) -> Iterator[Problem]:
    action = STEP_ACTIONS.get(step["action"])
    if action is None:
        allowed = ", ".join(sorted(STEP_ACTIONS))
        yield places.problem((*path, "action"), f"{step['action']!r}; expected one of {allowed}")
        return
    if step.get("kind", action.kind.value) != action.kind.value:
        yield places.problem((*path, "kind"), f"{action.name} is {action.kind.value}")
    if action.kind is StepKind.READ and "undo" in step:
        yield places.problem((*path, "undo"), "a read changes nothing that could be taken back")
    if action.kind is StepKind.GUARDED and "verify" not in step:
        yield places.problem(path, "a guarded step needs verify, to be settled after a crash")
    if "fence" in step and not action.has_fence:
        yield places.problem((*path, "fence"), f"{action.name} takes no fence")
    if seconds(step.get("timeout", "1s")) >= STEP_TIMEOUT_S_MAX:
        yield places.problem((*path, "timeout"), f"less than {STEP_TIMEOUT_S_MAX} s")
    for error in Draft202012Validator(action.schema()).iter_errors(step.get("with", {})):
        # What is only known when it is sent is checked then, by the action.
        if not _is_template(error.instance):
            yield places.problem((*path, "with", *error.absolute_path), _told(error))
    yield from _unreadable(step, path, places, known)
    for name in action.expressions:
        text = step.get("with", {}).get(name)
        if isinstance(text, str) and not _is_template(text):
            yield from _unreadable_text(text, (*path, "with", name), places, known)


def _unreadable_text(
    text: str, path: tuple[str | int, ...], places: _Places, known: set[str]
) -> Iterator[Problem]:
    try:
        unknown = expression.check(text) - known
    except BadExpression as error:
        yield places.problem(path, str(error))
        return
    if unknown:
        yield places.problem(path, _unknown_names(unknown, known))


def _is_template(value: object) -> bool:
    return isinstance(value, str) and "{{" in value


def _unreadable(
    step: Mapping[str, Any], path: tuple[str | int, ...], places: _Places, known: set[str]
) -> Iterator[Problem]:
    """Expressions that can't be parsed, or that name what nobody tells."""
    texts: list[tuple[str, bool, object]] = [
        (field, field in ("expect", "verify"), step[field])
        for field in ("precheck", "expect", "verify", "when")
        if field in step
    ]
    for field, has_outcome, text in texts:
        try:
            unknown = expression.check(str(text)) - known
        except BadExpression as error:
            yield places.problem((*path, field), str(error))
            continue
        if unknown and not has_outcome:
            yield places.problem((*path, field), _unknown_names(unknown, known))
    for field in ("with", "fence"):
        try:
            unknown = expression.check_template(step.get(field, {})) - known
        except BadExpression as error:
            yield places.problem((*path, field), str(error))
            continue
        if unknown:
            yield places.problem((*path, field), _unknown_names(unknown, known))


def _unknown_names(unknown: frozenset[str], known: set[str]) -> str:
    return f"{', '.join(sorted(unknown))}: not known here; known are {', '.join(sorted(known))}"
