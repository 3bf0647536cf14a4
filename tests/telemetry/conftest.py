from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from telemetry.config import Settings
from tests.telemetry.live import TelemetryProcess


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_environment({"HOLDFAST_HOME": str(tmp_path)})


@pytest.fixture(scope="session")
def shared_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TelemetryProcess]:
    """One process for all tests that don't hurt it."""
    process = TelemetryProcess(tmp_path_factory.mktemp("telemetry"))
    process.wait_open()
    yield process
    assert process.stop() == 0


@pytest.fixture
def own_process(tmp_path: Path) -> Iterator[TelemetryProcess]:
    """A process to kill and start again."""
    process = TelemetryProcess(tmp_path)
    yield process
    process.kill()


@pytest.fixture(scope="session")
def settings_free(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings for property tests, which may share them."""
    return Settings.from_environment({"HOLDFAST_HOME": str(tmp_path_factory.mktemp("home"))})
