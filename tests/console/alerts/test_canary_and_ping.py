"""What goes over a socket: the canary against a small store, the ping against a small service."""

from __future__ import annotations

import base64
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench import signed as bench_signed
from console.alerts.canary import ACCOUNT, Canary, signed
from console.alerts.ping import DeadManPing
from console.alerts.pollers import Poller
from telemetry.config import Settings

KEY = b"a key of thirty-two bytes, maybe."


class Store(ThreadingHTTPServer):
    """Keeps blobs, knows containers, and fails when told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.blobs: dict[str, bytes] = {}
        self.containers: set[str] = set()
        self.status: int | None = None
        self.garble = False
        self.asked: list[str] = []


class Door(BaseHTTPRequestHandler):
    server: Store

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(self.server.status or status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        path, _, query = self.path.partition("?")
        self.server.asked.append(f"PUT {self.path}")
        if query:
            self.server.containers.add(path)
            self._answer(201)
        elif path.rpartition("/")[0] not in self.server.containers:
            self._answer(404)
        else:
            self.server.blobs[path] = body
            self._answer(201)

    def do_GET(self) -> None:
        self.server.asked.append(f"GET {self.path}")
        body = self.server.blobs.get(self.path, b"")
        self._answer(200, body[1:] if self.server.garble else body)


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def make_canary(store: Store, home: Path, *, with_key: bool = True) -> Canary:
    settings = Settings.from_environment(
        {"HOLDFAST_HOME": str(home), "HOLDFAST_BLOB_PORT": str(store.server_address[1])}
    )
    if with_key:
        settings.secrets.mkdir(parents=True)
        (settings.secrets / "canary.key").write_text(base64.b64encode(KEY).decode() + "\n")
    return Canary(settings)


def test_it_writes_reads_back_and_makes_its_container_once(store: Store, tmp_path: Path) -> None:
    canary = make_canary(store, tmp_path)

    seen = [canary.beat() for _ in range(2)]

    assert all(each is not None and each.failures == 0 and each.last_ok_ms for each in seen)
    assert [line.partition("?")[2] for line in store.asked].count("restype=container") == 1


def test_without_a_key_there_is_no_canary(store: Store, tmp_path: Path) -> None:
    assert make_canary(store, tmp_path, with_key=False).beat() is None
    assert store.asked == []


def test_failures_are_counted_with_their_reason_until_one_goes_well(
    store: Store, tmp_path: Path
) -> None:
    canary = make_canary(store, tmp_path)
    canary.beat()

    store.status = 503
    failing = [canary.beat() for _ in range(3)][-1]
    store.status = None
    store.garble = True
    garbled = canary.beat()
    store.garble = False
    well = canary.beat()

    assert failing is not None and garbled is not None and well is not None
    assert (failing.failures, failing.reason) == (3, "its write got status 503")
    assert (garbled.failures, garbled.reason) == (4, "it read something other than it wrote")
    assert garbled.failing_since_ms == failing.failing_since_ms
    assert (well.failures, well.failing_since_ms) == (0, None)


def test_a_door_that_is_shut_is_a_failure_with_its_reason(store: Store, tmp_path: Path) -> None:
    canary = make_canary(store, tmp_path)
    store.socket.close()

    seen = canary.beat()

    assert seen is not None and seen.failures == 1
    assert seen.reason.startswith("its write failed: ")


@pytest.mark.parametrize(
    ("method", "path", "body", "query"),
    [
        ("PUT", "/c/b", b"body", {}),
        ("PUT", "/c", b"", {"restype": "container"}),
        ("GET", "/c/b", b"", {}),
    ],
)
def test_its_signature_is_that_of_an_independent_signer(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: bytes, query: dict[str, str]
) -> None:
    monkeypatch.setattr(bench_signed, "ACCOUNT", ACCOUNT)

    ours = signed(method, f"/{ACCOUNT}{path}", key=KEY, body=body, query=query, at_s=1.7e9)

    given = {k: v for k, v in ours.items() if k not in ("Authorization", "Content-Length")}
    theirs = bench_signed.sign(
        method, f"/{ACCOUNT}{path}", body=body, headers=given, query=query, at_s=1.7e9, key=KEY
    )
    assert ours["Authorization"] == theirs["Authorization"]


def test_the_ping_reaches_its_service_and_survives_its_absence(store: Store) -> None:
    ping = DeadManPing(f"http://127.0.0.1:{store.server_address[1]}/ping/abc")

    assert ping.send()
    store.status = 500
    assert not ping.send()

    assert (store.asked, ping.sent) == (["GET /ping/abc"] * 2, 1)


def test_the_ping_survives_a_service_that_talks_nonsense() -> None:
    class Nonsense(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1000)
            self.request.sendall(b"250 this is a mail server\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Nonsense) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        ping = DeadManPing(f"http://127.0.0.1:{server.server_address[1]}/")

        assert not ping.send()
        thread.join()


def test_a_ring_is_sent_by_a_thread_of_its_own(store: Store) -> None:
    ping = DeadManPing(f"http://127.0.0.1:{store.server_address[1]}/")
    ping.start()

    ping.ring()

    arrived = threading.Event()
    for _ in range(200):
        if ping.sent or arrived.wait(0.05):
            break
    ping.stop()
    assert ping.sent == 1


def test_a_source_that_fails_leaves_its_last_answer_and_a_reason() -> None:
    answers = iter((1, 2))
    poller = Poller("twin", lambda: next(answers))

    found = []
    for _ in range(4):
        poller.ask_once()
        found.append(poller.answer and poller.answer[0])

    assert found == [1, 2, 2, 2]
    assert poller.reason == "StopIteration: "
