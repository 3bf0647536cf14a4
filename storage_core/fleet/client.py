"""Ask the supervisor: what runs, and please stop, start or restart it.

Names go in, never process numbers: only the supervisor knows which process a name means now.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ANSWER_BYTES_MAX: Final = 1 << 20
ASK_TIMEOUT_S: Final = 15.0
"""A stop may take a part its whole grace time, and the answer comes after it."""


class SupervisorAway(Exception):
    """Nobody answers on `run/supervisor.sock`: the fleet isn't up, or its supervisor died."""


class Refused(Exception):
    """The supervisor answered that it won't; the text says why."""


def ask(
    run: Path,
    op: str,
    fields: Mapping[str, str | int] | None = None,
    *,
    timeout_s: float = ASK_TIMEOUT_S,
) -> Any:
    """Send one request and return its decoded answer. Raises SupervisorAway or Refused."""
    request = json.dumps({"op": op, **(fields or {})}).encode() + b"\n"
    received = b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(run / "supervisor.sock"))
            connection.sendall(request)
            while not received.endswith(b"\n") and len(received) < ANSWER_BYTES_MAX:
                piece = connection.recv(65_536)
                if not piece:
                    break
                received += piece
            answer = json.loads(received)
        except (OSError, ValueError) as error:
            raise SupervisorAway(f"no answer on {run / 'supervisor.sock'}: {error}") from error
    if isinstance(answer, dict) and "error" in answer:
        raise Refused(str(answer["error"]))
    return answer
