"""A house of real processes for the tests of runs: broker, worker, watcher, profiler, telemetry.

Each has its own home folder, free ports and process group. This process acts on the same database
file and rings through the same broker, so that a test presses the button itself.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from celery import current_app
from django.db import connections

from runbooks import clock, heartbeat
from storage_core.fleet import parts
from storage_core.fleet.linux import identify
from storage_core.fleet.registry import RUNNING, Record, write_registry
from telemetry.config import Settings

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 30.0
POLL_S = 0.05


def eventually(condition, what, timeout_s=START_TIMEOUT_S):
    """The first true answer of `condition`; fails with `what` after the time."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        pause.wait(POLL_S)
    return answer


class House:
    """One home and its processes. All still running at the end are killed, group by group."""

    def __init__(self, home):
        self.home = home
        (home / "secrets").mkdir(parents=True)
        (home / "secrets" / "otlp.token").write_text("token-of-tests\n")
        (home / "run").mkdir()
        (home / "valkey").mkdir()
        self.variables = {
            "HOLDFAST_HOME": str(home),
            "HOLDFAST_OTLP_PORT": str(free_port()),
            "HOLDFAST_QUERY_PORT": str(free_port()),
            "DJANGO_SETTINGS_MODULE": "console.settings",
        }
        self.settings = Settings.from_environment(self.variables)
        self.broker = home / "run" / "valkey.sock"
        self.processes = {}

    def start(self, name, *command):
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

    def manage(self, name, *arguments):
        return self.start(name, sys.executable, "manage.py", name, *arguments)

    def migrate(self):
        migrating = self.start(
            "migrate", sys.executable, "manage.py", "migrate", "--skip-checks", "-v0"
        )
        assert migrating.wait(START_TIMEOUT_S) == 0, self.log("migrate")

    def start_valkey(self):
        self.start(
            "valkey", str(parts._valkey_server()), "--port", "0", "--unixsocket", str(self.broker),
            "--dir", str(self.home / "valkey"), "--save", "", "--appendonly", "no",
        )  # fmt: skip
        eventually(lambda: listens(self.broker), "valkey listens")

    def start_worker(self):
        self.manage("worker")
        eventually(lambda: self.beat("worker").note == "listening", "the worker listens")

    def start_watcher(self):
        watcher = self.manage("watcher")
        eventually(lambda: self.beat("watcher").pid == watcher.pid, "the watcher beats")
        return watcher

    def start_profiler(self):
        self.start("profiler", sys.executable, "-m", "telemetry.profiling.helper")
        eventually(lambda: listens(self.home / "run" / "profiler.sock"), "the profiler listens")

    def beat(self, name):
        return heartbeat.read(self.settings.run, name, now_ms=clock.now_ms())

    def register(self, name, pid):
        """Write the supervisor's book with one running part in it."""
        record = Record(name, identify(pid), RUNNING, True, clock.now_ms(), 0)
        write_registry(self.settings.run / "registry.json", {name: record})

    def kill(self, name):
        """kill -9 of the process and all its children, as a power cut of that part."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(START_TIMEOUT_S)

    def log(self, name):
        return (self.home / f"{name}.log").read_text(errors="replace")

    def close(self):
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(START_TIMEOUT_S)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def listens(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@pytest.fixture
def make_house(tmp_path_factory, django_db_blocker):
    """Makes one house; this process uses its database and its broker until the test ends."""
    houses = []
    database = connections.settings["default"]
    before = (database["NAME"], connections["default"], current_app.conf.broker_url)

    def make(migrate=True):
        assert not houses, "one house for each test"
        house = House(tmp_path_factory.mktemp("house"))
        houses.append(house)
        if migrate:
            house.migrate()
        database["NAME"] = house.home / "console.sqlite3"
        connections["default"] = connections.create_connection("default")
        current_app.conf.broker_url = f"redis+socket://{house.broker}"
        return house

    with django_db_blocker.unblock():
        yield make
        if houses:
            connections["default"].close()
    database["NAME"], connections["default"], current_app.conf.broker_url = before
    for house in houses:
        house.close()
