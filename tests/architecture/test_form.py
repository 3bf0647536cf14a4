"""Size and words: what makes a file readable by a stranger, as far as a machine can tell."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGES, ROOT, files, parsed, relative

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
CODE_SUFFIXES = (".py", ".js", ".css", ".html")
TEXT_SUFFIXES = (*CODE_SUFFIXES, ".md", ".toml", ".yaml", ".yml", ".json", ".txt", ".sql")

# Spelled in two halves, so that this file may be read by its own test.
LEFT_OVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
PLACE_OF_SOMEBODY = re.compile(r"(?<![\w.~/])/(?:ro" r"ot|wo" r"rk|home/\w+|opt/\w+)/")
NO_NAMES_FOR_MODULES = {"utils", "util", "helpers", "common", "misc"}
NO_ENDS_FOR_CLASSES = ("Manager", "Handler", "Helper", "Util")


def of_suffixes(*suffixes: str) -> list[Path]:
    return [path for suffix in suffixes for path in files(suffix)]


def test_no_file_is_longer_than_400_lines() -> None:
    long = {
        relative(path): count
        for path in of_suffixes(*CODE_SUFFIXES)
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
    }

    assert long == {}


def test_no_function_is_longer_than_60_lines() -> None:
    long = {
        f"{relative(path)}:{node.lineno} {node.name}": lines
        for path in files(".py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    }

    assert long == {}


@pytest.mark.parametrize(
    ("what", "pattern"), [("left over", LEFT_OVER), ("a place", PLACE_OF_SOMEBODY)]
)
def test_no_text_has_left_overs_or_places_of_one_machine(
    what: str, pattern: re.Pattern[str]
) -> None:
    wrong = [
        f"{relative(path)}:{number} {what}: {found[0]}"
        for path in of_suffixes(*TEXT_SUFFIXES)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if (found := pattern.search(line))
    ]

    assert wrong == []


def test_modules_and_classes_are_named_for_what_they_are() -> None:
    modules = [relative(path) for path in files(".py") if path.stem in NO_NAMES_FOR_MODULES]
    classes = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in files(".py", *PACKAGES)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
        and node.name.endswith(NO_ENDS_FOR_CLASSES)
        # What extends a framework's handler or manager is one.
        and not any(ast.unparse(base).endswith(NO_ENDS_FOR_CLASSES) for base in node.bases)
    ]

    assert modules + classes == []


def test_no_failure_is_swallowed_whole() -> None:
    wrong = [
        f"{relative(path)}:{node.lineno}"
        for path in files(".py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or "Exception" in {n.id for n in _names(node.type)})
        and all(isinstance(statement, ast.Pass | ast.Continue) for statement in node.body)
    ]

    assert wrong == []


def _names(node: ast.expr) -> list[ast.Name]:
    return [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]


def test_tests_neither_sleep_nor_mock_nor_skip() -> None:
    forbidden = re.compile(
        r"\btime\.sleep\(|\basyncio\.sleep\((?!0\))|unittest\.mock|\bpytest\.skip|mark\.(?:skip|xfail)"
    )
    wrong = [
        f"{relative(path)}:{number}"
        for path in files(".py", "tests")
        if path.name.startswith(("test_", "conftest")) and path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if forbidden.search(line)
    ]

    assert wrong == []


def test_locked_requirements_have_hashes_and_no_addresses() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        pins = re.findall(r"^[a-z0-9][^\s]*==[^\s]+ (\\)$", text, re.MULTILINE)
        names = re.findall(r"^[a-z0-9].*$", text, re.MULTILINE)

        assert len(pins) == len(names) > 0, path.name
        assert not re.search(r"://|WARNING|--(?:index|find)", text), path.name
