"""Who may import whom. import-linter keeps the layers; this keeps what it can't say."""

import ast
import shutil
import subprocess
import tomllib

from tests.architecture.tree import (
    PACKAGES,
    PURE_STORE,
    PURE_TELEMETRY,
    ROOT,
    files,
    is_within,
    module_name,
    parsed,
    pure,
    relative,
    runtime_imports,
)

IMPURE = (
    *("asyncio", "socket", "os", "pathlib", "time", "random", "threading", "subprocess"),
    *("sqlite3", "logging", "django", "celery", "opentelemetry"),
)
PLAIN_DATA = ("opentelemetry.proto",)
STORE_DOORS = tuple(f"storage_core.{door}" for door in ("client", "errors", "config", "fleet"))
FACADE = tuple(
    f"telemetry.{name}" for name in ("config", "names", "tracing", "metrics", "logs", "bootstrap")
)


def test_pure_modules_import_no_clock_socket_file_or_framework() -> None:
    wrong = [
        f"{relative(path)}: {name}"
        for path in pure(PURE_STORE) + pure(PURE_TELEMETRY)
        for name in runtime_imports(path)
        if is_within(name, IMPURE) and not is_within(name, PLAIN_DATA)
    ]

    assert wrong == []


def test_pure_modules_of_the_store_are_written_in_python_3_9() -> None:
    for path in pure(PURE_STORE):
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9))


def test_pure_modules_of_the_store_import_under_pypy() -> None:
    pypy = shutil.which("pypy3")
    assert pypy is not None, "tests/apt.py installs it"
    modules = [module_name(path) for path in pure(PURE_STORE)]
    lines = "".join(f"import {name}\n" for name in modules)

    done = subprocess.run([pypy, "-c", lines], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_no_function_imports_anything() -> None:
    wrong = [
        f"{relative(path)}:{inner.lineno}"
        for path in files(".py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]

    assert wrong == []


def test_console_and_runbooks_use_the_four_doors_of_the_store() -> None:
    wrong = [
        f"{relative(path)}: {name}"
        for path in files(".py", "console", "runbooks")
        for name in runtime_imports(path)
        if is_within(name, ("storage_core",))
        and name != "storage_core"
        and not is_within(name, STORE_DOORS)
    ]

    assert wrong == []


def test_the_store_uses_the_facade_of_telemetry_only() -> None:
    wrong = [
        f"{relative(path)}: {name}"
        for path in files(".py", "storage_core")
        for name in runtime_imports(path)
        if is_within(name, ("telemetry",)) and name != "telemetry" and not is_within(name, FACADE)
    ]

    assert wrong == []


def test_the_contract_of_the_four_doors_names_every_other_module_of_the_store() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    contracts = tools["importlinter"]["contracts"]
    named = next(c for c in contracts if "four doors" in c["name"])["forbidden_modules"]

    children = {
        f"storage_core.{path.stem}"
        for path in (ROOT / "storage_core").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    assert sorted(children - set(STORE_DOORS) - {"storage_core.__init__"}) == sorted(named)


def test_every_package_has_one_line_of_purpose() -> None:
    missing = [
        relative(path)
        for path in files(".py", *PACKAGES)
        if "migrations" not in path.parts and not ast.get_docstring(parsed(path))
    ]

    assert missing == []
