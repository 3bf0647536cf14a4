"""A real fleet with its console, on ports of its own, over a home that is thrown away."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_S_MAX = 120.0
STOP_S_MAX = 30.0
PORTS_NEEDED = 34  # A run of thirty for the nodes, and four more.
PORT_LOW, PORT_HIGH = 20_000, 32_000  # Below where the system picks ports for clients.
LINK = re.compile(r"http://\S+/sign-in#\S+")


def free_ports() -> int:
    """The first of a run of ports that nobody listens on now."""
    offset = os.getpid() * PORTS_NEEDED % (PORT_HIGH - PORT_LOW)
    for start in range(PORT_LOW, PORT_HIGH, PORTS_NEEDED):
        first = PORT_LOW + (start - PORT_LOW + offset) % (PORT_HIGH - PORT_LOW)
        if all(is_free(port) for port in range(first, first + PORTS_NEEDED)):
            return first
    raise AssertionError("no run of free ports")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class LiveFleet:
    """`manage.py up`, from its first line to its last."""

    def __init__(self, home: Path, more: Mapping[str, str] | None = None) -> None:
        first = free_ports()
        self.home = home
        self.port = first + 30
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "HOLDFAST_HOME": str(home),
            "HOLDFAST_NODE_PORT_BASE": str(first),
            "HOLDFAST_WEB_PORT": str(self.port),
            "HOLDFAST_BLOB_PORT": str(first + 31),
            "HOLDFAST_OTLP_PORT": str(first + 32),
            "HOLDFAST_QUERY_PORT": str(first + 33),
            "DEMO": "1",
            "DJANGO_SETTINGS_MODULE": "console.settings",
            "HOLDFAST_PUBLIC_URL": self.address,
            **(more or {}),
        }
        self.lines: list[str] = []
        self.is_up = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.is_up.wait(START_S_MAX):
            self.stop()
            raise AssertionError("the fleet did not start:\n" + "\n".join(self.lines))

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if "Ctrl-C stops everything" in line:
                self.is_up.set()

    def manage(self, *words: str, timeout_s: float = 60.0) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sign_in_link(self) -> str:
        found = LINK.search(self.manage("login-link", "ada", "--role", "admin"))
        assert found is not None
        return found[0]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(STOP_S_MAX)
        if self.process.stdout is not None:
            self.process.stdout.close()
