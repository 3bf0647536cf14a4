"""One request to a node's admin port, with a deadline for all of it.

What comes back is an object or an error that says who must act: the node is away, or answers what
no node would (NodeUnreachable); or it understood and refuses (OrderRefused and below), and then
nothing was done.

Read next: `client` for what is asked, `admin` for who answers.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from typing import Final, cast

from storage_core.errors import (
    DrillsForbidden,
    FenceRefused,
    NodeUnreachable,
    OperationRefused,
    OrderRefused,
)
from telemetry.config import Settings, read_secret

ANSWER_BYTES_MAX: Final = 256 * 1024
"""A status is about 1 KiB; more than this is not a node."""

Answer = dict[str, object]


class AdminPort:
    """Asks the nodes of one fleet. Holds no connection, so it may be shared by threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def call(
        self,
        node: int,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        timeout_s: float,
    ) -> Answer:
        """The answer. Raises NodeUnreachable, OrderRefused."""
        deadline = time.monotonic() + timeout_s
        token = read_secret(self._settings.secrets / "admin.token")
        headers = {"Authorization": f"Bearer {token}", "Connection": "close"}
        payload = None if body is None else json.dumps(body).encode()
        if payload is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._settings.admin_port(node), timeout=max(0.01, timeout_s)
        )
        try:
            connection.request(method, path, body=payload, headers=headers)
            _spend(connection.sock, deadline)
            # The answer ends the connection, which is the response's to close from then on.
            with connection.getresponse() as response:
                data = _read(response, connection, deadline)
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise NodeUnreachable(f"node-{node} does not answer: {reason}") from error
        finally:
            connection.close()
        if response.status in (400, 403, 404, 409):
            raise _refusal(node, _object(node, data))
        if response.status not in (200, 202, 204):
            raise NodeUnreachable(f"node-{node} refused {path}: {response.status} {_start(data)}")
        return _object(node, data) if data else {}


def _refusal(node: int, answer: Answer) -> OrderRefused:
    """The error that a refusal names by its `code`."""
    words = f"node-{node}: {answer.get('error', 'refused')}"
    if answer.get("code") == "fence":
        leader, term = answer.get("leader"), answer.get("term")
        return FenceRefused(
            leader if isinstance(leader, int) else None, term if isinstance(term, int) else 0
        )
    if answer.get("code") == "operation":
        return OperationRefused(words)
    return DrillsForbidden(words) if answer.get("code") == "drills" else OrderRefused(words)


def _spend(sock: socket.socket | None, deadline: float) -> None:
    """Leave the socket only the time that is left. http.client may have dropped it already."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("timed out")
    if sock is not None:
        sock.settimeout(left_s)


def _read(
    response: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline: float
) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read1(65_536):
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            raise http.client.HTTPException(f"answer over {ANSWER_BYTES_MAX} bytes")
        _spend(connection.sock, deadline)
    return b"".join(parts)


def _object(node: int, data: bytes) -> Answer:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise NodeUnreachable(f"node-{node} answered no JSON: {_start(data)}") from error
    if not isinstance(value, dict):
        raise NodeUnreachable(f"node-{node} answered {_start(data)}")
    return cast("Answer", value)


def _start(data: bytes) -> str:
    return data[:120].decode("utf-8", "replace").strip()
