"""What was broken on purpose is never shown to whoever is to find it out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "console" / "triage"
AFTERWARDS = {"accuracy.py", "actions.py", "duties.py", "judge.py", "models.py", "page.py",
              "queries.py", "views.py"}  # fmt: skip
"""Modules that keep the score, when a drill is over and its fault known."""
DIAGNOSING = sorted(path.name for path in FOLDER.glob("*.py") if path.name not in AFTERWARDS)
FORBIDDEN_MODULES = ("runbooks.drills", "console.drills", "storage_core.faults")
FORBIDDEN_NAMES = ("faults", "set_fault", "clear_faults", "FaultState", "is_drill", "drill_run",
                   "JudgedDrill", "DrillMark", "judged")  # fmt: skip
FORBIDDEN_TEXT = ("drill", "/faults", "pauses.json", "injected")


def tree(name: str) -> ast.Module:
    return ast.parse((FOLDER / name).read_text(encoding="utf-8"))


def documentation(module: ast.Module) -> set[int]:
    """The docstrings, which may speak of what the code may not do."""
    return {
        id(node.value)
        for node in ast.walk(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


@pytest.mark.parametrize("name", DIAGNOSING)
def test_no_module_that_diagnoses_imports_what_drills_do(name: str) -> None:
    imported = []
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom):
            imported += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]

    assert [each for each in imported if each.startswith(FORBIDDEN_MODULES)] == []


@pytest.mark.parametrize("name", DIAGNOSING)
def test_no_module_that_diagnoses_reads_a_mark_a_switch_or_a_drills_row(name: str) -> None:
    module = tree(name)
    spoken = documentation(module)
    used = {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}
    used |= {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    texts = [
        node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in spoken
    ]

    assert sorted(used & set(FORBIDDEN_NAMES)) == []
    assert [text for text in texts if any(word in text.lower() for word in FORBIDDEN_TEXT)] == []


def test_the_modules_that_diagnose_are_not_empty() -> None:
    assert {"gather.py", "diagnose.py", "symptoms.py", "signatures.py"} <= set(DIAGNOSING)
