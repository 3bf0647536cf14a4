"""A drill whose controller and whose supervisor are killed while a node stands still."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bench.cluster import ROOT
from runbooks.drills import limits
from runbooks.drills.folder import DrillFolder
from tests.probe.fleet import Fleet

pytestmark = pytest.mark.probe

BEGIN_S_MAX = 90.0
HEALED_S_MAX = limits.FAULT_LEASE_MS / 1000 + 5.0
ENDED_S_MAX = 60.0


def until(condition: Callable[[], object], what: str, seconds: float) -> None:
    give_up_s = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < give_up_s, f"not within {seconds:g} s: {what}"
        pause.wait(0.1)


def state_of(pid: int) -> str:
    """`T` for a stopped process, as the kernel sees it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def drill(fleet: Fleet, *words: str) -> str:
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "drill", *words],
        env=fleet.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def paused_node(folder: DrillFolder) -> int | None:
    """The node that the drill has stopped, once it has."""
    events: dict[object, Mapping[str, object]] = {e["event"]: e for e in folder.read_events()}
    return int(str(events["target"]["node"])) if "fault" in events else None


def test_a_paused_node_goes_on_though_nobody_is_left_who_paused_it() -> None:
    with Fleet() as fleet:
        started = drill(fleet, "run", "pause-leader", "--no-wait", "--param", "hold_s=60")
        number = int(started.split()[1].rstrip(":"))
        folder = DrillFolder(fleet.home, number)
        until(lambda: paused_node(folder) is not None, f"a node is paused: {started}", BEGIN_S_MAX)
        pid = fleet.pid(f"node-{paused_node(folder)}")
        until(lambda: state_of(pid) == "T", "the node stands still", 2.0)
        child = folder.child()
        assert child is not None

        try:
            os.kill(int(str(child["pid"])), signal.SIGKILL)
            fleet.kill_supervisor()

            until(lambda: state_of(pid) != "T", "the node goes on", HEALED_S_MAX)
            until(lambda: json.loads(drill(fleet, "show", str(number), "--json"))["verdict"],
                  "the drill has a verdict", ENDED_S_MAX)  # fmt: skip
            told = json.loads(drill(fleet, "show", str(number), "--json"))
            assert told["verdict"] == "aborted"
            assert "the conducting process died; its fault was taken back" in told["reason"]
            assert not (fleet.home / "run" / "drill.json").exists()
        finally:
            # A new supervisor takes everything over, so that it can be stopped in order.
            fleet.up()
