"""A blocking keep-alive client that sends prepared bytes and reads whole answers."""

from __future__ import annotations

import socket
from typing import NamedTuple


class Answer(NamedTuple):
    """Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawClient:
    """One connection. Raises OSError on anything that breaks it."""

    def __init__(self, port: int, timeout_s: float = 10.0) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._sock.makefile("rb")

    def send(self, request: bytes) -> Answer:
        """One request, one answer."""
        self._sock.sendall(request)
        return self.receive(has_body=not request.startswith(b"HEAD "))

    def receive(self, *, has_body: bool = True) -> Answer:
        """The next answer."""
        line = self._file.readline()
        if not line:
            raise ConnectionResetError("closed before an answer")
        status = int(line.split(b" ", 2)[1])
        headers: dict[str, str] = {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        length = int(headers.get("content-length", "0")) if has_body else 0
        body = self._file.read(length)
        if len(body) < length:
            raise ConnectionResetError("closed within an answer")
        return Answer(status, headers, body)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self._sock.close()


def send_once(port: int, request: bytes) -> Answer:
    """On a connection of its own."""
    with RawClient(port) as client:
        return client.send(request)
