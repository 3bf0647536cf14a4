"""Scenarios that read as text; `scenario` tells how to change them."""

from pathlib import Path

import pytest

from tests.storage_core.raft.scenario import FOLDER, replay

PATHS = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_scenario_goes_as_written(path: Path) -> None:
    text = path.read_text()

    assert replay(text) == text
