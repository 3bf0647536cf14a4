"""A house of real processes for the tests of runs: broker, worker, watcher, profiler, telemetry.

Each has its own home folder, free ports and process group. The test's process acts on the same
database file and rings through the same broker, so that a test presses the button itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from celery import current_app
from django.db import connections

from runbooks import clock, heartbeat
from runbooks.heartbeat import Heartbeat
from storage_core.fleet import parts
from storage_core.fleet.linux import identify
from storage_core.fleet.registry import RUNNING, Record, write_registry
from telemetry.client import QueryClient, TelemetryUnavailable
from telemetry.config import Settings

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 30.0
POLL_S = 0.05

SPINNER = """
import time
def spin_in_circles(until):
    while time.monotonic() < until:
        sum(range(500))
print("ready", flush=True)
spin_in_circles(time.monotonic() + 300)
"""

Answer = TypeVar("Answer")


def eventually(
    condition: Callable[[], Answer | None], what: str, timeout_s: float = START_TIMEOUT_S
) -> Answer:
    """The first true answer of `condition`; fails with `what` after the time."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        pause.wait(POLL_S)
    return answer


class House:
    """One home and its processes. All still running at the end are killed, group by group."""

    def __init__(self, home: Path, *, beside: Mapping[str, str] | None = None) -> None:
        """`beside` is the environment of a store whose home this is, too."""
        self.home = home
        for folder in ("secrets", "run", "valkey"):
            (home / folder).mkdir(parents=True, exist_ok=beside is not None)
        if beside is None:
            (home / "secrets" / "otlp.token").write_text("token-of-tests\n")
        self.variables = {
            "HOLDFAST_HOME": str(home),
            "HOLDFAST_OTLP_PORT": str(free_port()),
            "HOLDFAST_QUERY_PORT": str(free_port()),
            **{name: value for name, value in (beside or {}).items() if name.startswith("HOLD")},
            "DJANGO_SETTINGS_MODULE": "console.settings",
        }
        self.settings = Settings.from_environment(self.variables)
        self.broker = home / "run" / "valkey.sock"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start one process in a group of its own, its output in a log file."""
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | self.variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.processes[name]

    def python(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        return self.start(name, sys.executable, *arguments)

    def migrate(self) -> None:
        migrating = self.python("migrate", "manage.py", "migrate", "--skip-checks", "-v0")
        assert migrating.wait(START_TIMEOUT_S) == 0, self.log("migrate")

    def take_tables(self, template: Path) -> None:
        """A copy of a migrated database, put in place whole."""
        shutil.copy(template, self.home / "copy.sqlite3")
        (self.home / "copy.sqlite3").replace(self.home / "console.sqlite3")

    def start_valkey(self) -> None:
        self.start(
            "valkey", str(parts._valkey_server()), "--port", "0", "--unixsocket", str(self.broker),
            "--dir", str(self.home / "valkey"), "--save", "", "--appendonly", "no",
        )  # fmt: skip
        eventually(lambda: listens(self.broker), "valkey listens")

    def start_worker(self, *command: str) -> subprocess.Popen[bytes]:
        worker = self.python("worker", *(command or ("manage.py", "worker")))

        def is_listening() -> bool:
            beat = self.beat("worker")
            return (beat.pid, beat.note) == (worker.pid, "listening")

        eventually(is_listening, "the worker listens")
        return worker

    def start_watcher(self) -> subprocess.Popen[bytes]:
        watcher = self.python("watcher", "manage.py", "watcher")
        eventually(lambda: self.beat("watcher").pid == watcher.pid, "the watcher beats")
        return watcher

    def start_telemetry(self) -> QueryClient:
        self.python("telemetry", "-m", "telemetry.serve")
        client = QueryClient(self.settings)

        def answers() -> bool:
            try:
                return bool(client.health())
            except TelemetryUnavailable:
                return False

        eventually(answers, "telemetry answers")
        return client

    def start_profiler_and_target(self, name: str) -> None:
        """The profiler, and a process that burns its time in one function, in the registry."""
        self.python("profiler", "-m", "telemetry.profiling.helper")
        spinner = self.python("spinner", "-c", SPINNER)
        eventually(lambda: "ready" in self.log("spinner"), "the target runs")
        record = Record(name, identify(spinner.pid), RUNNING, True, clock.now_ms(), 0)
        write_registry(self.settings.run / "registry.json", {name: record})
        eventually(lambda: listens(self.home / "run" / "profiler.sock"), "the profiler listens")

    def beat(self, name: str) -> Heartbeat:
        return heartbeat.read(self.settings.run, name, now_ms=clock.now_ms())

    def kill(self, name: str) -> None:
        """kill -9 of the process and all its children, as a power cut of that part."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(START_TIMEOUT_S)

    def log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")

    def close(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(START_TIMEOUT_S)


@contextlib.contextmanager
def lived_in(house: House) -> Iterator[House]:
    """This process uses the house's database and broker."""
    database = connections.settings["default"]
    name, connection, url = (
        database["NAME"],
        connections["default"],
        current_app.conf.broker_url,
    )
    database["NAME"] = house.home / "console.sqlite3"
    connections["default"] = connections.create_connection("default")
    current_app.conf.update(broker_url=f"redis+socket://{house.broker}")
    try:
        yield house
    finally:
        connections["default"].close()
        database["NAME"], connections["default"] = name, connection
        current_app.conf.update(broker_url=url)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
