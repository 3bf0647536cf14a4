"""The source tree as data: which files are ours, what they import, which of them are pure."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("console", "runbooks", "storage_core", "telemetry")
NOT_OURS = {".git", ".venv", "node_modules", "vendor", "var", "__pycache__", ".mypy_cache"}

# Pure modules: they take (now, event) and return effects, so the simulator can run them anywhere.
PURE_STORE = (
    "storage_core/core.py",
    "storage_core/errors.py",
    "storage_core/catalog/*.py",
    "storage_core/index/memory.py",
    "storage_core/index/port.py",
    "storage_core/log/crc64.py",
    "storage_core/log/entries.py",
    "storage_core/log/format.py",
    "storage_core/log/recovery.py",
    "storage_core/raft/*.py",
)
PURE_TELEMETRY = (
    "telemetry/profiling/stacks.py",
    "telemetry/profiling/flame.py",
    "telemetry/receiver/decode.py",
    "telemetry/receiver/rings.py",
    "telemetry/receiver/tail.py",
    "telemetry/slo/alerts.py",
    "telemetry/slo/burn.py",
    "telemetry/slo/counts.py",
    "telemetry/slo/fleet_rules.py",
    "telemetry/slo/judge.py",
)


def files(suffix: str, *folders: str) -> list[Path]:
    """Our files with this suffix, all of them or those below `folders`."""
    starts = [ROOT / folder for folder in folders] or [ROOT]
    return sorted(found for start in starts for found in _walk(start) if found.suffix == suffix)


def _walk(start: Path) -> Iterator[Path]:
    for path in start.iterdir():
        if path.name in NOT_OURS:
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def relative(path: Path) -> str:
    """How a file is called in a failure."""
    return path.relative_to(ROOT).as_posix()


def pure(patterns: tuple[str, ...]) -> list[Path]:
    """The pure modules that exist."""
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    name = relative(path).removesuffix(".py").removesuffix("/__init__")
    return name.replace("/", ".")


def runtime_imports(path: Path) -> set[str]:
    """Dotted names that are imported when the module runs; TYPE_CHECKING blocks don't count."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(parsed(path).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))
    return found


def is_within(name: str, packages: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of these or lies below one."""
    return any(name == package or name.startswith(package + ".") for package in packages)
