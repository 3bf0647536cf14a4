"""A program of the user's: it asks the console's API with a token, and nothing else."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any

ANSWER_S_MAX = 15.0
BASE = "/api/v1"


class Refused(Exception):
    """The console said no; the text is its reason."""


class Program:
    """One request at a time, each on a connection of its own. Raises Refused, or OSError."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def get(self, path: str) -> dict[str, Any]:
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        return self._ask("POST", path, json.dumps(body))

    def _ask(self, method: str, path: str, body: str | None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_S_MAX)
        try:
            connection.request(method, f"{BASE}/{path}", body, self._headers)
            answer = connection.getresponse()
            found: dict[str, Any] = json.loads(answer.read())
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise Refused(f"{answer.status} {found.get('title', '')} {found.get('field', '')}")
        return found
