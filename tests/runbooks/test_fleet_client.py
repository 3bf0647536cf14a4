"""The client of the nodes' admin ports, against real sockets that behave and that do not."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from storage_core.client import FleetClient, NodeStatus
from storage_core.errors import NodeUnreachable
from telemetry.config import Settings


def make_answer(node: int = 0, role: str = "follower", term: int = 3) -> dict[str, object]:
    return {
        "node": node, "role": role, "term": term, "leader": 1, "commit_index": 90,
        "applied_index": 89, "last_index": 91, "durable_index": 91, "lease_ms": 250,
        "elections": 1, "uptime_s": 12.5, "pid": 4711, "start_time_ticks": 99, "boot_id": "b",
        "version": "0.1.0", "disk_free_bytes": 10, "log_bytes": 20,
        "segments": {"live": 2, "ready": 1}, "flush_ms": {"p50": 1.5, "p99": None},
        "requests": {"read": 5, "write": 6, "failed": 0}, "front_door": True,
        "peers": {"1": {"match_index": 90, "lag_entries": 1, "connected": True}},
    }  # fmt: skip


class Fleet:
    """Admin ports on one run of free ports. `answers` maps a node to bytes sent for /status."""

    def __init__(self, home: Path, ports: int) -> None:
        self.settings = replace(
            Settings.from_environment({"HOLDFAST_HOME": str(home)}), node_port_base=ports - 20
        )
        self.answers: dict[int, bytes] = {}
        self.asked: list[tuple[int, str, str, bytes]] = []
        self.servers: list[ThreadingHTTPServer] = []
        for node in range(3):
            server = ThreadingHTTPServer(("127.0.0.1", ports + node), self._handler(node))
            server.daemon_threads = True
            self.servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def _handler(self, node: int) -> type[BaseHTTPRequestHandler]:
        fleet = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fleet.asked.append((node, self.path, self.headers["Authorization"], b""))
                self._send(fleet.answers[node])

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fleet.asked.append((node, self.path, self.headers["Authorization"], body))
                self._send(b"{}")

            def _send(self, data: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def stop(self, node: int) -> None:
        self.servers[node].shutdown()
        self.servers[node].server_close()


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that are free now."""
    for first in range(42_000, 60_000, count):
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "admin.token").write_text("t0ken\n")
    fleet = Fleet(tmp_path, free_ports(3))
    fleet.answers = {node: json.dumps(make_answer(node)).encode() for node in range(3)}
    yield fleet
    for node in range(3):
        fleet.stop(node)


def test_a_status_is_read_whole_with_the_token_sent(fleet: Fleet) -> None:
    status = FleetClient(fleet.settings).status(0)

    assert (status.name, status.role, status.flush_p50_ms) == ("node-0", "follower", 1.5)
    assert status.flush_p99_ms is None
    assert status.peers[1].is_connected
    assert fleet.asked == [(0, "/status", "Bearer t0ken", b"")]


def test_a_dead_node_does_not_keep_the_others_back(fleet: Fleet) -> None:
    fleet.stop(1)

    found = FleetClient(fleet.settings).statuses(timeout_s=2)

    assert isinstance(found[0], NodeStatus)
    assert isinstance(found[1], NodeUnreachable)
    assert isinstance(found[2], NodeStatus)


def test_a_node_that_accepts_and_stays_silent_costs_no_more_than_the_deadline(fleet: Fleet) -> None:
    fleet.stop(2)
    port = fleet.settings.admin_port(2)
    with socket.create_server(("127.0.0.1", port)):
        begun = time.monotonic()

        found = FleetClient(fleet.settings).statuses(timeout_s=0.3)

    assert time.monotonic() - begun < 1.5
    assert isinstance(found[0], NodeStatus)
    assert "does not answer" in str(found[2]) or "did not answer" in str(found[2])


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello",
        b"[]",
        b'{"node": 0}',
        json.dumps(make_answer() | {"term": "three"}).encode(),
        json.dumps(make_answer() | {"role": "king"}).encode(),
        json.dumps(make_answer() | {"peers": {"x": {}}}).encode(),
        json.dumps(make_answer(node=2)).encode(),
        b"x" * 300_000,
    ],
)
def test_an_answer_that_is_no_status_is_an_unreachable_node(fleet: Fleet, answer: bytes) -> None:
    fleet.answers[0] = answer

    with pytest.raises(NodeUnreachable, match="node-"):
        FleetClient(fleet.settings).status(0)


def test_a_transfer_is_asked_of_the_leader_with_the_highest_term(fleet: Fleet) -> None:
    fleet.answers[0] = json.dumps(make_answer(0, "leader", term=3)).encode()
    fleet.answers[1] = json.dumps(make_answer(1, "leader", term=4)).encode()

    FleetClient(fleet.settings).transfer(2)

    assert fleet.asked[-1] == (1, "/transfer", "Bearer t0ken", b'{"to": 2}')


def test_a_transfer_without_a_leader_says_so(fleet: Fleet) -> None:
    with pytest.raises(NodeUnreachable, match="no node says that it leads"):
        FleetClient(fleet.settings).transfer(2)


@pytest.mark.parametrize("answer", [b"{}", b'{"faults": [1]}', b'{"settings": {"a": "b"}}'])
def test_an_order_that_is_answered_with_nonsense_says_so(fleet: Fleet, answer: bytes) -> None:
    fleet.answers[0] = answer
    client = FleetClient(fleet.settings)

    for ask in (
        lambda: client.faults(0),
        lambda: client.configuration(0),
        lambda: client.raise_fence(0, 1, "a", 1),
    ):
        with pytest.raises(NodeUnreachable, match="node-0 answered nonsense"):
            ask()
