"""Admin ports of three nodes over real sockets; they keep faults and settings as they are told."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from telemetry.config import Settings
from tests.runbooks.test_fleet_client import free_ports, make_answer


class Nodes:
    """`orders` is what was told, in order: method, path, body."""

    def __init__(self, home: Path, ports: int) -> None:
        self.settings = replace(
            Settings.from_environment({"HOLDFAST_HOME": str(home)}), node_port_base=ports - 20
        )
        self.settings.run.mkdir(parents=True, exist_ok=True)
        self.faults: list[dict[str, object]] = []
        self.configuration = {"batch_records": 64}
        self.drained: set[int] = set()
        self.orders: list[tuple[str, str, dict[str, object]]] = []
        self.servers = [
            ThreadingHTTPServer(("127.0.0.1", ports + node), self._handler(node))
            for node in range(3)
        ]
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def _answer(self, node: int, path: str) -> dict[str, object]:
        if path == "/faults":
            return {"faults": self.faults}
        if path == "/configuration":
            return {"settings": self.configuration}
        role = "leader" if node == 1 else "follower"
        return make_answer(node, role) | {"drained": node in self.drained}

    def _take(self, method: str, path: str, body: dict[str, object]) -> None:
        self.orders.append((method, path, body))
        if path == "/configuration":
            self.configuration[str(body["name"])] = int(str(body["value"]))
        elif method == "DELETE":
            self.faults.clear()
        else:
            self.faults[:] = [
                {name: body[name] for name in ("kind", "params", "owner")} | {"left_ms": 6000}
            ]

    def _handler(self, node: int) -> type[BaseHTTPRequestHandler]:
        nodes = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(nodes._answer(node, self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                nodes._take(self.command, self.path, json.loads(body or b"{}"))
                self._send({})

            do_DELETE = do_POST

            def _send(self, answer: dict[str, object]) -> None:
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

        return Handler


@contextlib.contextmanager
def nodes(home: Path) -> Iterator[Nodes]:
    """Three that answer."""
    made = Nodes(home, free_ports(3))
    try:
        yield made
    finally:
        for server in made.servers:
            server.shutdown()
            server.server_close()
