"""A client that sends exactly the bytes it is told to, and signs as the service documents it.

The signature is made here a second time, from the documentation and not from our own code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import socket
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import NamedTuple
from urllib.parse import unquote

from storage_core.io.checksum import crc64
from tests.storage_core.frontend.solo import ACCOUNT, KEYS

Given = Mapping[str, str | None]
"""Header lines; None leaves out one that is sent by default."""

VERSION = "2025-05-05"
SIGNED = (
    "content-encoding content-language content-length content-md5 content-type date "
    "if-modified-since if-match if-none-match if-unmodified-since range"
).split()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        found = re.search(rb"<Code>(.*?)</Code>", self.body)
        in_body = found.group(1).decode() if found else ""
        in_head = self.headers.get("x-ms-error-code", "")
        assert not in_body or in_body == in_head, (in_body, in_head)
        return in_head


def sign(method: str, target: str, headers: dict[str, str], account: str, key: bytes) -> str:
    low = {name.lower(): value for name, value in headers.items()}
    signed = dict(low)
    if signed.get("content-length") == "0":
        signed["content-length"] = ""
    if "x-ms-date" in signed:
        signed["date"] = ""
    text = method + "\n" + "".join(signed.get(name, "") + "\n" for name in SIGNED)
    for name in sorted(name for name in low if name.startswith("x-ms-")):
        text += f"{name}:{low[name]}\n"
    path, _, query = target.partition("?")
    text += f"/{account}{path}"
    values: dict[str, list[str]] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        values.setdefault(unquote(name).lower(), []).append(unquote(value))
    for name in sorted(values):
        text += f"\n{name}:{','.join(sorted(values[name]))}"
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


def request(
    method: str,
    target: str,
    headers: Given | None = None,
    body: bytes | None = None,
    *,
    account: str = ACCOUNT,
    key: bytes | None = None,
    date: str | None = None,
) -> bytes:
    """A signed request. `target` starts behind the account."""
    target = f"/{account}{target}"
    wanted: dict[str, str | None] = {
        "x-ms-date": date or formatdate(usegmt=True),
        "x-ms-version": VERSION,
    }
    if body is not None:
        wanted["Content-Length"] = str(len(body))
    wanted |= headers or {}
    given = {name: value for name, value in wanted.items() if value is not None}
    signature = sign(
        method, target, given, account, KEYS.get(account, b"?") if key is None else key
    )
    given["Authorization"] = f"SharedKey {account}:{signature}"
    return raw(method, target, given, body or b"")


def raw(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def put_blob(
    name: str,
    body: bytes,
    headers: Given | None = None,
    *,
    account: str = ACCOUNT,
    key: bytes | None = None,
    date: str | None = None,
) -> bytes:
    all_headers = {"x-ms-blob-type": "BlockBlob", **(headers or {})}
    return request("PUT", name, all_headers, body, account=account, key=key, date=date)


def md5_text(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def crc_text(data: bytes) -> str:
    return base64.b64encode(crc64(data).to_bytes(8, "little")).decode()


class Wire:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._rest = bytearray()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> None:
        """Leave without a word."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._socket.close()

    def half_close(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_some(self, data: bytes, within_s: float) -> int:
        """Send until the other side stops taking; how much it took."""
        sent, give_up_s = 0, time.monotonic() + within_s
        self._socket.settimeout(0.05)
        while sent < len(data) and time.monotonic() < give_up_s:
            try:
                sent += self._socket.send(data[sent : sent + 65536])
                give_up_s = time.monotonic() + within_s
            except TimeoutError:
                continue
        self._socket.settimeout(10)
        return sent

    def ask(self, data: bytes, *, head: bool = False) -> Answer:
        self.send(data)
        return self.answer(head=head)

    def answer(self, *, head: bool = False) -> Answer:
        """The next answer. `head`: it has no body, whatever it says."""
        while b"\r\n\r\n" not in self._rest:
            self._more()
        end = self._rest.index(b"\r\n\r\n")
        top = bytes(self._rest[:end])
        del self._rest[: end + 4]
        lines = top.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, line
            headers[name.lower()] = value
        size = 0 if head or status in (100, 304) else int(headers.get("content-length", "0"))
        while len(self._rest) < size:
            self._more()
        body = bytes(self._rest[:size])
        del self._rest[:size]
        return Answer(status, headers, body)

    @property
    def is_closed(self) -> bool:
        """Waits for the other side to close; False if it sends something instead."""
        try:
            self._rest += self._socket.recv(65536)
        except ConnectionResetError:
            return True
        return not self._rest

    def _more(self) -> None:
        data = self._socket.recv(1 << 20)
        if not data:
            raise EOFError(f"closed with {self._rest[:200]!r} in hand")
        self._rest += data
