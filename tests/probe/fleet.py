"""The whole of Holdfast as a user starts it, on ports and in a home of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from bench.cluster import ROOT, free_port_base
from storage_core.client import FleetClient, NodeStatus
from storage_core.errors import NodeUnreachable
from storage_core.fleet.client import ask
from telemetry.config import Settings

READY_S_MAX = 120.0
STOP_S_MAX = 40.0


class Fleet:
    """`manage.py up` as a context manager. `output` is what the person at the terminal sees."""

    def __init__(
        self,
        *,
        demo: bool = False,
        home: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`home` is made and removed if none is given; `settings` are further variables."""
        self._kept = tempfile.TemporaryDirectory(prefix="hf-")
        self.home = home or Path(self._kept.name)
        base = free_port_base()
        self.environment = dict(
            os.environ,
            HOLDFAST_HOME=str(self.home),
            HOLDFAST_NODE_PORT_BASE=str(base),
            HOLDFAST_BLOB_PORT=str(base + 30),
            HOLDFAST_OTLP_PORT=str(base + 31),
            HOLDFAST_QUERY_PORT=str(base + 32),
            HOLDFAST_WEB_PORT=str(base + 33),
            DEMO="1" if demo else "0",
            PYTHONUNBUFFERED="1",
            **(settings or {}),
        )
        # The tests' own settings are not the product's.
        self.environment.pop("DJANGO_SETTINGS_MODULE", None)
        self.settings = Settings.from_environment(self.environment)
        self.client = FleetClient(self.settings)
        self.output: list[str] = []
        self._supervisor: subprocess.Popen[str] | None = None
        self._ready = threading.Event()
        self._listener = threading.Thread(target=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.settings.web_port}"

    def __enter__(self) -> Fleet:
        try:
            self.up()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.down()
        finally:
            self._kept.cleanup()

    def up(self) -> None:
        """Start, and return when the sign-in link is printed."""
        self._ready.clear()
        self._supervisor = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "up"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, args=(self._supervisor,))
        self._listener.start()
        if not self._ready.wait(READY_S_MAX):
            raise TimeoutError("no sign-in link:\n" + "\n".join(self.output))

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self.output.append(line.rstrip())
                if "/sign-in#" in line:
                    self._ready.set()

    def down(self) -> None:
        """Ctrl-C, as in a terminal."""
        if self._supervisor is None:
            return
        if self._supervisor.poll() is None:
            os.killpg(self._supervisor.pid, signal.SIGINT)
        self._supervisor.wait(STOP_S_MAX)
        self._listener.join()
        self._supervisor = None

    def kill_supervisor(self) -> None:
        """`kill -9` of `manage.py up` alone; what it started lives on."""
        assert self._supervisor is not None
        self._supervisor.kill()
        self._supervisor.wait()

    def pid(self, name: str) -> int:
        """The process of a part, from the supervisor's registry."""
        return int(ask(self.home / "run", "registry")[name]["pid"])

    def registry_state(self, pid: int) -> str:
        """What the supervisor thinks of the part with this process."""
        parts = ask(self.home / "run", "registry").values()
        return next((str(part["state"]) for part in parts if part["pid"] == pid), "unknown")

    def manage(self, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """`manage.py ...` in this fleet's environment."""
        return subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def statuses(self) -> list[NodeStatus]:
        """Of the nodes that answer."""
        found = []
        for node in range(self.settings.nodes):
            try:
                found.append(self.client.status(node, timeout_s=0.5))
            except NodeUnreachable:
                continue
        return found

    def wait_settled(self, seconds: float = 30) -> int:
        """Until all nodes answer and agree on a leader that has left the front door."""
        give_up_s = time.monotonic() + seconds
        pause = threading.Event()
        while time.monotonic() < give_up_s:
            statuses = self.statuses()
            leaders = {status.leader for status in statuses}
            if len(statuses) == self.settings.nodes and len(leaders) == 1 and None not in leaders:
                leader = leaders.pop()
                doors = {s.node for s in statuses if s.is_in_front_door}
                if leader is not None and doors == set(range(self.settings.nodes)) - {leader}:
                    return leader
            pause.wait(0.05)
        raise TimeoutError(f"the fleet did not settle: {self.statuses()}")

    def connection_string(self) -> str:
        """For the vendor's SDK, through the front door."""
        return (
            "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
            "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/"
            "K1SZFPTOtr/KBHBeksoGMGw==;"
            f"BlobEndpoint=http://127.0.0.1:{self.settings.blob_port}/devstoreaccount1;"
        )


def connects_and_answers(port: int, timeout_s: float) -> bool:
    """One new connection, one request, one answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as sock:
            sock.sendall(b"GET /devstoreaccount1?comp=list HTTP/1.1\r\nHost: a\r\n\r\n")
            return sock.recv(12).startswith(b"HTTP/1.1")
    except OSError:
        return False
