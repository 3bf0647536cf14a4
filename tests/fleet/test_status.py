"""`manage.py status` tells the truth when little or nothing runs."""

import subprocess
import sys
from pathlib import Path

from tests.fleet.conftest import ROOT, TinyFleet


def status(fleet: TinyFleet) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "status"],
        cwd=ROOT,
        env=fleet.environment,
        capture_output=True,
        text=True,
    )


def test_nothing_running_is_said_and_is_not_success(fleet: TinyFleet) -> None:
    done = status(fleet)

    assert done.returncode == 1
    assert "supervisor  does not answer" in done.stdout
    assert "node-0      node-0 does not answer" in done.stdout


def test_parts_are_listed_and_silent_nodes_are_not_left_out(fleet: TinyFleet) -> None:
    fleet.up()
    assert (Path(fleet.environment["HOLDFAST_HOME"]) / "rescue.md").exists()
    fleet.ask("stop", name="later")

    done = status(fleet)

    assert done.returncode == 1
    assert "later       dead, not ready, restarted 0 times" in done.stdout
    assert f"process {fleet.pid('node-1')}, restarted 0 times" in done.stdout
    assert "node-2      node-2 does not answer" in done.stdout
