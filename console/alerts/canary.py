"""One small write and read a second through the front door, so that idle is told from broken.

When nobody sends requests, none fail. The canary always sends some, as a client would: by a new
connection to the shared port, signed with an account of its own, which is kept out of what users'
objectives count. It reads back what it wrote and compares.

What always holds: a round ends within its deadline, and what went wrong is told in a sentence.
"""

import base64
import hashlib
import hmac
import http.client
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

from telemetry.config import Settings, read_secret
from telemetry.slo.fleet_rules import CanarySeen

ACCOUNT = "holdfastcanary"
CONTAINER = "canary"
BLOB = "beat"
API_VERSION = "2023-11-03"
DEADLINE_S = 3.0
HOST = "127.0.0.1"


class CanaryFailed(Exception):
    """A request of the canary's got no answer, or a wrong one."""


class Canary:
    """`beat` is one round. It is called by one thread; `seen` is read by others."""

    def __init__(self, settings: Settings) -> None:
        self._port = settings.blob_port
        self._key_file = settings.secrets / "canary.key"
        self._count = 0
        self._last_ok_ms: int | None = None
        self._failing_since_ms: int | None = None
        self._failures = 0

    def beat(self) -> CanarySeen | None:
        """One write and one read. None while the canary has no key."""
        key = read_secret(self._key_file)
        if not key:
            return None
        began_ms = time.time_ns() // 1_000_000
        reason = ""
        try:
            self._round(base64.b64decode(key))
        except (CanaryFailed, ValueError) as error:
            reason = str(error)
        return self._note(began_ms, reason)

    def _note(self, began_ms: int, reason: str) -> CanarySeen:
        if not reason:
            self._last_ok_ms = time.time_ns() // 1_000_000
            self._failing_since_ms, self._failures = None, 0
        else:
            self._failing_since_ms = self._failing_since_ms or began_ms
            self._failures += 1
        return CanarySeen(
            last_ok_ms=self._last_ok_ms,
            failing_since_ms=self._failing_since_ms,
            failures=self._failures,
            reason=reason,
        )

    def _round(self, key: bytes) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        self._count += 1
        body = f"{self._count} at {time.time_ns()}".encode()
        path = f"/{ACCOUNT}/{CONTAINER}/{BLOB}"
        status, _ = self._ask("PUT", path, key, deadline_s, body=body)
        if status == HTTPStatus.NOT_FOUND:
            query = {"restype": "container"}
            self._ask("PUT", f"/{ACCOUNT}/{CONTAINER}", key, deadline_s, query=query)
            status, _ = self._ask("PUT", path, key, deadline_s, body=body)
        if status != HTTPStatus.CREATED:
            raise CanaryFailed(f"its write got status {status}")
        status, found = self._ask("GET", path, key, deadline_s)
        if status != HTTPStatus.OK:
            raise CanaryFailed(f"its read got status {status}")
        if found != body:
            raise CanaryFailed("it read something other than it wrote")

    def _ask(
        self,
        method: str,
        path: str,
        key: bytes,
        deadline_s: float,
        *,
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        left_s = deadline_s - time.monotonic()
        word = "write" if method == "PUT" else "read"
        if left_s <= 0:
            raise CanaryFailed(f"no time was left for its {word}")
        headers = signed(method, path, key=key, body=body, query=query or {})
        target = path + "".join(f"?{name}={value}" for name, value in (query or {}).items())
        connection = http.client.HTTPConnection(HOST, self._port, timeout=left_s)
        try:
            connection.request(method, target, body=body or None, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read(64 * 1024)
        except TimeoutError as error:
            raise CanaryFailed(f"its {word} got no answer within {DEADLINE_S:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise CanaryFailed(f"its {word} failed: {reason}"[:120]) from error
        finally:
            connection.close()


def signed(
    method: str,
    path: str,
    *,
    key: bytes,
    body: bytes = b"",
    query: Mapping[str, str] | None = None,
    at_s: float | None = None,
) -> dict[str, str]:
    """The headers of a request, with the Blob service's SharedKey signature. `path` begins with the
    account.
    """
    headers = {
        "x-ms-date": formatdate(time.time() if at_s is None else at_s, usegmt=True),
        "x-ms-version": API_VERSION,
    }
    if method == "PUT":
        headers["Content-Length"] = str(len(body))
        if body:
            headers |= {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
    length = str(len(body)) if body else ""
    lines = [method, "", "", length, "", headers.get("Content-Type", ""), "", "", "", "", "", ""]
    lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
    lines.append(f"/{ACCOUNT}{path}")
    lines += [f"{name}:{value}" for name, value in sorted((query or {}).items())]
    digest = hmac.digest(key, "\n".join(lines).encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    return headers
