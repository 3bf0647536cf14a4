"""The admin port answers keepers, and says no to everybody else in whole sentences."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any

import pytest

from storage_core.admin import REQUEST_BYTES_MAX, AdminServer
from tests.storage_core.node.loops import play

TOKEN = "s3cret"


def call(request: bytes) -> tuple[int, dict[str, Any]]:
    """One raw request to a server that echoes what POST /echo was given."""
    answers: list[bytes] = []

    def ask(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            while part := sock.recv(65536):
                answers.append(part)

    async def story() -> None:
        server = AdminServer(
            token=TOKEN,
            routes={("POST", "/echo"): _echo, ("GET", "/status"): lambda _: (200, {"node": 1})},
        )
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        await server.start("127.0.0.1", port)
        await asyncio.get_running_loop().run_in_executor(None, ask, port)
        server.close()

    play(story)
    head, _, body = b"".join(answers).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    return int(head.split()[1]), json.loads(body)


def _echo(body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
    return 200, {"given": body}


def request(line: str, body: bytes = b"", token: str = TOKEN, length: str = "") -> bytes:
    head = f"{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    if body or length:
        head += f"Content-Length: {length or len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def test_a_keeper_is_answered() -> None:
    assert call(request("GET /status?x=1")) == (200, {"node": 1})
    assert call(request("POST /echo", b'{"to": 2}')) == (200, {"given": {"to": 2}})
    assert call(request("POST /echo")) == (200, {"given": {}})


@pytest.mark.parametrize(
    "bad",
    [
        request("GET /status", token="wrong"),
        request("GET /status", token=""),
        b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /status HTTP/1.1\r\nAuthorization: Basic s3cret\r\n\r\n",
        request("POST /echo", b"[" * 10, token="s3cre\u00fc"),
    ],
)
def test_a_bad_token_is_refused_before_anything_else(bad: bytes) -> None:
    status, answer = call(bad)

    assert (status, answer) == (401, {"error": "admin token missing or wrong"})


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (request("POST /echo", b"{"), "body is not JSON"),
        (request("POST /echo", b"\xff\xfe"), "body is not JSON"),
        (request("POST /echo", b"[" * 16_000), "body is not JSON"),
        (request("POST /echo", b"[1]"), "body is not a JSON object"),
        (request("POST /echo", length="-1"), "body must be at most 16384 bytes"),
        (request("POST /echo", length="9" * 5000), "body must be at most 16384 bytes"),
        (request("POST /echo", length="\u0662"), "body must be at most 16384 bytes"),
        (request("POST /echo", bytes(REQUEST_BYTES_MAX + 1)), "body must be at most 16384 bytes"),
        (request("GET /status more words"), "malformed request line"),
        (b"\r\n\r\n", "malformed request line"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", "request head over 16384 bytes"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(bad: bytes, expected: str) -> None:
    assert call(bad) == (400, {"error": expected})


def test_an_unknown_place_is_named() -> None:
    assert call(request("DELETE /status")) == (404, {"error": "no DELETE /status here"})
