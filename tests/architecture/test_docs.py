"""Documentation that fails when it falls behind the code."""

import importlib
import re
from pathlib import Path

import pytest

from storage_core.fleet.parts import fleet_parts
from telemetry.config import ROWS, Settings
from telemetry.names import METRICS
from tests.architecture.tree import PACKAGES, ROOT, files, relative

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"```.*?```", re.DOTALL)


def documents() -> list[Path]:
    return files(".md")


def commands() -> set[str]:
    manage = importlib.import_module("manage")
    written = {
        path.stem
        for package in PACKAGES
        for path in (ROOT / package).glob("**/management/commands/*.py")
        if path.stem != "__init__"
    }
    return written | set(manage.WITHOUT_DJANGO)


def test_every_link_leads_somewhere() -> None:
    broken = []
    for document in documents():
        text = FENCE.sub("", document.read_text(encoding="utf-8"))
        for target in LINK.findall(text):
            path = target.partition("#")[0]
            if path and "://" not in path and not (document.parent / path).exists():
                broken.append(f"{relative(document)}: {target}")

    assert broken == []


def test_every_anchor_is_a_heading() -> None:
    broken = []
    for document in documents():
        text = FENCE.sub("", document.read_text(encoding="utf-8"))
        for target in LINK.findall(text):
            path, _, anchor = target.partition("#")
            other = document.parent / path if path else document
            if anchor and "://" not in path and other.suffix == ".md" and other.exists():
                if anchor not in _anchors(other):
                    broken.append(f"{relative(document)}: {target}")

    assert broken == []


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {word.strip().replace(" ", "-") for word in words}


@pytest.mark.parametrize("variable", sorted(row.variable for row in ROWS.values()))
def test_every_setting_is_explained(variable: str) -> None:
    assert f"`{variable}`" in (ROOT / "docs/guide/settings.md").read_text(encoding="utf-8")


def listeners() -> set[str]:
    """Ports of the table of parts by the setting that moves them, and sockets that code names."""
    ports = {
        port.variable for part in fleet_parts(Settings.from_environment({})) for port in part.ports
    }
    named = re.compile(r'"(\w+\.sock)"')
    sockets = {
        found
        for package in PACKAGES
        for path in (ROOT / package).glob("**/*.py")
        for found in named.findall(path.read_text(encoding="utf-8"))
    }
    return {"HOLDFAST_BLOB_PORT"} | ports | {f"run/{name}" for name in sockets}


@pytest.mark.parametrize("listener", sorted(listeners()))
def test_it_is_written_who_is_let_in_by_every_listener(listener: str) -> None:
    rows = (ROOT / "docs/guide/settings.md").read_text(encoding="utf-8").splitlines()

    assert any(row.startswith(f"| `{listener}`") and row.count("|") == 4 for row in rows)


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_every_metric_is_explained(metric: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in documents()]

    assert any(f"`{metric}`" in text for text in texts)


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_is_explained(command: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in documents()]
    mention = re.compile(rf"\bmanage\.py {re.escape(command)}\b")

    assert any(mention.search(text) for text in texts)


def test_the_architecture_names_every_package() -> None:
    text = (ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")
    packages = sorted(
        path.parent.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).glob("**/__init__.py")
        if not {"migrations", "management", "commands", "templatetags"} & set(path.parts)
    )

    assert [name for name in packages if f"`{name}`" not in text] == []


def test_decisions_are_numbered_dated_and_have_a_state() -> None:
    records = sorted((ROOT / "docs/adr").glob("*.md"))

    # Numbers are given out before the records are written, so one may come later than the next.
    numbers = [int(path.name[:3]) for path in records]
    assert len(set(numbers)) == len(numbers)
    for path in records:
        head = path.read_text(encoding="utf-8").splitlines()[:6]
        assert head[0].startswith("# "), path.name
        assert any(re.fullmatch(r"\d{4}-\d\d-\d\d, \w.*", line) for line in head), path.name
