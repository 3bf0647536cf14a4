"""A real supervisor on a home and ports of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from storage_core.fleet.client import SupervisorAway, ask
from storage_core.fleet.linux import all_pids, read_environment, read_stat

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 15.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """The first true answer; a named failure after WAIT_S."""
    pause, deadline_s = Event(), time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        answer = condition()
        if answer:
            return answer
        pause.wait(0.01)
    raise AssertionError(f"not within {WAIT_S} s: {what}")


class TinyFleet:
    """Starts supervisors over one home, and knows how to look at what they do."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.run = home / "run"
        self.port = free_port()
        self.environment = {
            **os.environ,
            "HOLDFAST_HOME": str(home),
            "HOLDFAST_BLOB_PORT": str(self.port),
            # Nobody listens on node ports here, least of all a fleet of whoever runs the tests.
            "HOLDFAST_NODE_PORT_BASE": str(free_port()),
        }
        self.supervisors: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        with open(self.home / "up.log", "ab") as log:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "tests.fleet.tiny_fleet"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self.supervisors.append(supervisor)
        return supervisor

    def up(self) -> subprocess.Popen[bytes]:
        before = self.output().count("Holdfast is up")
        supervisor = self.start()
        wait_until(lambda: self.output().count("Holdfast is up") > before, "the fleet is up")
        return supervisor

    def output(self) -> str:
        log = self.home / "up.log"
        return log.read_text() if log.exists() else ""

    def ask(self, op: str, **fields: str | int) -> Any:
        return ask(self.run, op, fields)

    def registry(self) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self.ask("registry")
        except SupervisorAway:
            return {}
        return answer

    def pid(self, name: str) -> int:
        return int(self.registry()[name]["pid"])

    def lead(self, node: int | None) -> None:
        (self.home / "leader").write_text(str(node))

    def connect(self) -> str:
        """Which node answers a new connection; "" if none does."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                return connection.recv(16).decode()
        except OSError:
            return ""

    def connect_often(self, count: int = 300) -> set[str]:
        return {self.connect() for _ in range(count)}

    def processes(self) -> list[int]:
        """Every living process that was started for this home."""
        found = []
        for pid in all_pids():
            environment = read_environment(pid)
            stat = read_stat(pid)
            is_ours = environment.get("HOLDFAST_HOME") == str(self.home)
            if is_ours and stat is not None and not stat.is_gone:
                found.append(pid)
        return found

    def end(self) -> None:
        for supervisor in self.supervisors:
            if supervisor.poll() is None:
                supervisor.kill()
            supervisor.wait()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[TinyFleet]:
    fleet = TinyFleet(tmp_path)
    yield fleet
    fleet.end()
