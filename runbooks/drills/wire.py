"""A client of the Blob service with nothing in it: one connection, one request, one answer.

No retry, no pool, no redirect, so that what the history says is what the store did. Requests are
signed with the published key of the emulator's account, which is good on loopback only.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import NamedTuple

from storage_core.config import EMULATOR_ACCOUNT, EMULATOR_KEY, HOST

SERVICE_VERSION = "2023-11-03"
HEAD_BYTES_MAX = 32 * 1024
BODY_BYTES_MAX = 4 << 20


class Answer(NamedTuple):
    """Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Identity(NamedTuple):
    """Who signs."""

    account: str
    key: bytes


EMULATOR = Identity(EMULATOR_ACCOUNT, EMULATOR_KEY)


class NotSent(Exception):
    """No connection: the request surely never arrived."""


class Connection:
    """One keep-alive connection, opened when first needed and after every break."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes, *, timeout_s: float) -> Answer:
        """Send and wait. Raises NotSent, OSError, TimeoutError; each leaves no connection."""
        try:
            async with asyncio.timeout(timeout_s):
                if self._writer is None:
                    await self._open()
                assert self._reader is not None and self._writer is not None, "just opened"
                self._writer.write(request)
                return await _read_answer(self._reader)
        except asyncio.IncompleteReadError as error:
            self.close()
            raise ConnectionResetError("closed before the answer was whole") from error
        except (OSError, TimeoutError, ValueError, asyncio.LimitOverrunError, NotSent):
            self.close()
            raise

    def close(self) -> None:
        """Leave; the next request opens a new connection."""
        if self._writer is not None:
            with contextlib.suppress(RuntimeError):  # The loop may be closing.
                self._writer.close()
        self._reader = self._writer = None

    async def _open(self) -> None:
        try:
            self._reader, self._writer = await asyncio.open_connection(
                HOST, self._port, limit=HEAD_BYTES_MAX
            )
        except OSError as error:
            raise NotSent(str(error)) from error


def put(path: str, body: bytes, *, expected: str = "", identity: Identity = EMULATOR) -> bytes:
    """Put Blob; with `expected`, only over that version."""
    headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
    if expected:
        headers["If-Match"] = expected
    return signed("PUT", path, body=body, headers=headers, identity=identity)


def get(path: str) -> bytes:
    """Get Blob."""
    return signed("GET", path)


def delete(path: str) -> bytes:
    """Delete Blob."""
    return signed("DELETE", path)


def container(method: str, name: str, *, identity: Identity = EMULATOR) -> bytes:
    """Create (PUT) or Delete (DELETE) Container."""
    return signed(method, name, query={"restype": "container"}, identity=identity)


def signed(
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    identity: Identity = EMULATOR,
) -> bytes:
    """The bytes of a request with its SharedKey signature. `path` is container or container/blob,
    of characters that need no quoting.
    """
    fields = {
        "x-ms-date": formatdate(time.time(), usegmt=True),
        "x-ms-version": SERVICE_VERSION,
        **(headers or {}),
    }
    length = str(len(body)) if body else ""
    own = sorted((name, value) for name, value in fields.items() if name.startswith("x-ms-"))
    full_path = f"/{identity.account}/{path}"
    lines = [
        method, "", "", length, "", fields.get("Content-Type", ""), "", "",
        fields.get("If-Match", ""), "", "", "",
        *(f"{name}:{value}" for name, value in own),
        f"/{identity.account}{full_path}",
        *(f"{name}:{value}" for name, value in sorted((query or {}).items())),
    ]  # fmt: skip
    digest = hmac.digest(identity.key, "\n".join(lines).encode(), hashlib.sha256)
    signature = base64.b64encode(digest).decode()
    fields["Authorization"] = f"SharedKey {identity.account}:{signature}"
    if body or method == "PUT":
        fields["Content-Length"] = str(len(body))
    asked = "&".join(f"{name}={value}" for name, value in (query or {}).items())
    target = f"{full_path}?{asked}" if asked else full_path
    head = [f"{method} {target} HTTP/1.1", f"Host: {HOST}"]
    head += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ", 2)[1])
    headers = {}
    for line in head[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= BODY_BYTES_MAX:
        raise ValueError(f"an answer of {length} bytes")
    return Answer(status, headers, await reader.readexactly(length))
