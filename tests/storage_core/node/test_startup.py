"""What a start knows of the end before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_core.fleet.registry import ASKED_VARIABLE
from storage_core.log.format import Identity
from storage_core.startup import Cluster, note_stopped, open_node
from telemetry.config import Settings
from tests.storage_core.node.parts import SEGMENT_BYTES


def started(settings: Settings) -> bool:
    """One start, which ends without a word. Returns whether it followed a crash."""
    opened = open_node(settings, 0, Cluster(Identity(7, 1), 1), segment_bytes=SEGMENT_BYTES)
    opened.index.close()
    opened.disk.close()
    opened.lock.release()
    return opened.follows_crash


def test_a_start_tells_a_crash_from_an_end_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.from_environment({"HOLDFAST_HOME": str(tmp_path)})

    found = [started(settings), started(settings)]
    note_stopped(settings, 0)
    found += [started(settings), started(settings)]
    monkeypatch.setenv(ASKED_VARIABLE, "1")
    found.append(started(settings))

    assert found == [False, True, False, True, False]
