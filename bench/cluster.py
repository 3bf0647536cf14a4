"""A real three-node store for benchmarks and tests: own home, free ports, nothing else.

The nodes are the product's processes, started the product's way. Ports are taken from a range that
is free at the moment, and every process that was started is ended, whatever happens in between.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from bench import signed
from bench.client import RawClient
from storage_core.client import FleetClient, NodeStatus
from storage_core.errors import NodeUnreachable
from telemetry.config import Settings

ROOT = Path(__file__).resolve().parent.parent
PORT_FIRST, PORT_LAST = 21_000, 31_000
READY_S_MAX = 60.0
POLL_S = 0.02
NODE_COUNT = 3
BACKLOG = 1024
# Of the 40: own ports, peers, admin; then the front door, OTLP, queries, the console.
PORTS_USED = (*range(3), *range(10, 13), *range(20, 23), *range(30, 34))


def free_port_base() -> int:
    """The first of 40 neighbouring ports that nobody listens on."""
    for base in range(PORT_FIRST + (os.getpid() * 40) % 8000, PORT_LAST, 40):
        if all(_is_free(base + offset) for offset in PORTS_USED):
            return base
    raise RuntimeError("no run of free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Cluster:
    """A context manager. `nodes[n]` is the process of node n, or None while it's down."""

    def __init__(self, *, home: Path | None = None, extra: dict[str, str] | None = None) -> None:
        self._kept = tempfile.TemporaryDirectory(prefix="holdfast-") if home is None else None
        self.home = Path(self._kept.name) if self._kept is not None else Path(str(home))
        base = free_port_base()
        self.environment = dict(
            os.environ,
            HOLDFAST_HOME=str(self.home),
            HOLDFAST_NODE_PORT_BASE=str(base),
            HOLDFAST_BLOB_PORT=str(base + 30),
            HOLDFAST_OTLP_PORT=str(base + 31),
            HOLDFAST_QUERY_PORT=str(base + 32),
            **(extra or {}),
        )
        self.settings = Settings.from_environment(self.environment)
        self.client = FleetClient(self.settings)
        self.nodes: list[subprocess.Popen[bytes] | None] = [None] * NODE_COUNT
        self._doors: list[socket.socket] = []

    def __enter__(self) -> Cluster:
        self._make_home()
        for _ in range(NODE_COUNT):
            door = socket.socket()
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            door.bind(("127.0.0.1", self.settings.blob_port))
            door.listen(BACKLOG)
            self._doors.append(door)
        try:
            for node in range(NODE_COUNT):
                self.start(node)
            self.wait_ready()
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
        for node in range(NODE_COUNT):
            self.kill(node)
        for door in self._doors:
            door.close()
        if self._kept is not None:
            self._kept.cleanup()

    def _make_home(self) -> None:
        for name in ("secrets", "run", "logs", "data"):
            (self.home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        described = self.home / "cluster.json"
        if not described.exists():
            cluster_id = secrets.randbits(63)
            described.write_text(
                json.dumps({"cluster_id": cluster_id, "group_id": 1, "nodes": NODE_COUNT})
            )
        for name in ("admin.token", "otlp.token", "peer.key"):
            path = self.home / "secrets" / name
            if not path.exists():
                path.write_text(secrets.token_hex(32))
                path.chmod(0o600)
        canary = self.home / "secrets" / "canary.key"
        if not canary.exists():
            canary.write_text(base64.b64encode(secrets.token_bytes(64)).decode())
            canary.chmod(0o600)

    def command(self, node: int) -> Sequence[str]:
        """What a node's process is started with, the interpreter first."""
        return (sys.executable, str(ROOT / "manage.py"), "node", str(node))

    def start(self, node: int, wrapper: tuple[str, ...] = ()) -> None:
        """Start one node, maybe under `wrapper` (strace, say)."""
        door = self._doors[node]
        door.listen(BACKLOG)
        with open(self.home / "logs" / f"node-{node}.log", "ab") as log:
            self.nodes[node] = subprocess.Popen(
                [*wrapper, *self.command(node)],
                cwd=ROOT,
                env=dict(self.environment, HOLDFAST_FRONT_FD=str(door.fileno())),
                pass_fds=(door.fileno(),),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def kill(self, node: int) -> None:
        """`kill -9`, wait until it's gone, and close its share of the door as `up` would."""
        process = self.nodes[node]
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.nodes[node] = None
            with contextlib.suppress(OSError):  # it had left the door by itself
                self._doors[node].shutdown(socket.SHUT_RD)

    def statuses(self) -> list[NodeStatus | None]:
        """Every node's status; None for one that doesn't answer."""
        found: list[NodeStatus | None] = []
        for node in range(NODE_COUNT):
            try:
                found.append(self.client.status(node, timeout_s=0.5))
            except NodeUnreachable:
                found.append(None)
        return found

    def leader(self) -> int | None:
        """The node that says it leads in the highest term."""
        leaders = [s for s in self.statuses() if s is not None and s.role == "leader"]
        return max(leaders, key=lambda status: status.term).node if leaders else None

    def wait_ready(self, seconds: float = READY_S_MAX) -> int:
        """Until one node leads and all that run follow it; returns the leader."""
        give_up_s = time.monotonic() + seconds
        while time.monotonic() < give_up_s:
            running = [node for node, process in enumerate(self.nodes) if process is not None]
            statuses = [status for status in self.statuses() if status is not None]
            leaders = {status.leader for status in statuses}
            if len(statuses) == len(running) and len(leaders) == 1 and leaders != {None}:
                (leader,) = leaders
                if self._serves(running):
                    assert leader is not None
                    return leader
            time.sleep(POLL_S)
        raise TimeoutError("the nodes did not become ready; see " + str(self.home / "logs"))

    def _serves(self, running: list[int]) -> bool:
        for node in running:
            try:
                with RawClient(self.settings.own_port(node), timeout_s=6) as client:
                    listed = client.send(
                        signed.raw("GET", "/devstoreaccount1", query={"comp": "list"})
                    )
            except OSError:
                return False
            if listed.status != 200:
                return False
        return True

    def cpu_seconds(self, node: int) -> float:
        """User and system time of a node so far."""
        process = self.nodes[node]
        assert process is not None
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
