"""Asks the telemetry process, from the console and from runbooks.

Synchronous and small: one connection a question, one deadline, no retry. Whoever shows the answer
must be able to say "this part is blind": any failure is TelemetryUnavailable with the reason,
except that something is not stored, which is None.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from telemetry.config import Settings, read_secret

TIMEOUT_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024

Document = dict[str, Any]
Parameter = str | int | float | bool | None


class TelemetryUnavailable(Exception):
    """The telemetry process did not answer, or could not. `status` is 0 if nothing came back."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class QueryClient:
    """One method for each question of the query port."""

    def __init__(self, settings: Settings, *, timeout_s: float = TIMEOUT_S) -> None:
        self._port = settings.query_port
        self._token_file = settings.secrets / "otlp.token"
        self._timeout_s = timeout_s

    def now(self, *, seconds: int = 1800, step: int = 5) -> Document:
        """Rates, failures and latencies of the last half hour, from memory."""
        return self._must("/v1/now", {"seconds": seconds, "step": step})

    def node_series(
        self, *, measure: str = "flush_p99_ms", seconds: int = 1800, step: int = 5
    ) -> dict[str, list[tuple[int, float | None]]]:
        """One curve for each node, from memory."""
        return self._must(
            "/v1/nodes/series", {"measure": measure, "seconds": seconds, "step": step}
        )

    def node_seconds(self, *, seconds: int, write_ms: float, read_ms: float) -> Document:
        """Every second of every node as columns, from memory."""
        return self._must(
            "/v1/nodes/seconds", {"seconds": seconds, "write_ms": write_ms, "read_ms": read_ms}
        )

    def objectives(self, *, seconds: int, step: int, write_ms: float, read_ms: float) -> Document:
        """Good and bad requests by step, from memory."""
        return self._must(
            "/v1/objectives",
            {"seconds": seconds, "step": step, "write_ms": write_ms, "read_ms": read_ms},
        )

    def traces(
        self,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        service: str = "",
        operation: str = "",
        node: str = "",
        reason: str = "",
        min_ms: float = 0.0,
        error: bool = False,
        limit: int = 50,
    ) -> list[Document]:
        """The newest traces that match."""
        found = self._must(
            "/v1/traces",
            {
                "since_ms": since_ms,
                "until_ms": until_ms,
                "service": service,
                "operation": operation,
                "node": node,
                "reason": reason,
                "min_ms": min_ms,
                "error": error,
                "limit": limit,
            },
        )
        return list(found["traces"])

    def trace(self, trace_id: str) -> Document | None:
        """One trace with all its spans; None if it is not stored."""
        return self._get(f"/v1/traces/{quote(trace_id, safe='')}", {})

    def stages(
        self,
        *,
        seconds: int = 300,
        operation: str = "",
        since_ms: int | None = None,
        until_ms: int | None = None,
    ) -> Document:
        """Where the time of each operation goes."""
        return self._must(
            "/v1/stages",
            {
                "seconds": seconds,
                "operation": operation,
                "since_ms": since_ms,
                "until_ms": until_ms,
            },
        )

    def metric(
        self,
        name: str,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        step: int = 10,
        service: str = "",
    ) -> Document:
        """A gauge's last values or a counter's growth, by node."""
        return self._must(
            "/v1/metrics",
            {
                "name": name,
                "since_ms": since_ms,
                "until_ms": until_ms,
                "step": step,
                "service": service,
            },
        )

    def points(
        self, name: str, *, since_ms: int, until_ms: int, step: int = 5, by: str = ""
    ) -> Document:
        """One metric by node, step and attribute: shape, unit, and rows as `many_points` has."""
        found = self.many_points(
            [name], since_ms=since_ms, until_ms=until_ms, step=step, by=[by] if by else []
        )
        return dict(found.get(name, {"shape": "", "unit": "", "rows": []}))

    def many_points(
        self,
        wanted: Sequence[str],
        *,
        since_ms: int,
        until_ms: int,
        step: int = 5,
        by: Sequence[str] = (),
    ) -> Document:
        """Metrics by node, step and the first attribute of `by` that they carry: by name their
        shape, unit, and rows of count, sum, last, p50 and p99.
        """
        found = self._must(
            "/v1/points",
            {
                "names": ",".join(wanted),
                "since_ms": since_ms,
                "until_ms": until_ms,
                "step": step,
                "by": ",".join(by),
            },
        )
        return dict(found["metrics"])

    def requests(self, *, since_ms: int, until_ms: int, limit: int = 150) -> list[Document]:
        """Kept requests of the store with their attributes and stages, at most `limit` of each
        reason to keep one, a fair sample if there were more.
        """
        found = self._must(
            "/v1/requests", {"since_ms": since_ms, "until_ms": until_ms, "limit": limit}
        )
        return list(found["requests"])

    def logs(
        self,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        service: str = "",
        trace_id: str = "",
        severity_min: int = 0,
        text: str = "",
        limit: int = 100,
    ) -> list[Document]:
        """The newest log lines that match."""
        found = self._must(
            "/v1/logs",
            {
                "since_ms": since_ms,
                "until_ms": until_ms,
                "service": service,
                "trace_id": trace_id,
                "severity_min": severity_min,
                "text": text,
                "limit": limit,
            },
        )
        return list(found["logs"])

    def profiles(self, *, target: str = "", limit: int = 50) -> list[Document]:
        """The newest profiles, without stacks."""
        return list(self._must("/v1/profiles", {"target": target, "limit": limit})["profiles"])

    def profile(self, profile_id: str) -> Document | None:
        """One profile with its stacks; None if it is not stored."""
        return self._get(f"/v1/profiles/{quote(profile_id, safe='')}", {})

    def store_profile(self, profile: Mapping[str, object]) -> str:
        """Keep a profile; the same id a second time changes nothing. Returns the id."""
        document = self._ask("POST", "/v1/profiles", json.dumps(profile).encode())
        if document is None:
            raise TelemetryUnavailable("the query port has no profiles", 404)
        return str(document["id"])

    def health(self) -> Document:
        """How far the store is behind, and what was dropped."""
        return self._must("/healthz", {})

    def _must(self, path: str, parameters: Mapping[str, Parameter]) -> Document:
        found = self._get(path, parameters)
        if found is None:
            raise TelemetryUnavailable(f"the query port has no {path}", 404)
        return found

    def _get(self, path: str, parameters: Mapping[str, Parameter]) -> Document | None:
        given = {
            name: int(value) if isinstance(value, bool) else value
            for name, value in parameters.items()
            if value is not None and value != ""
        }
        return self._ask("GET", f"{path}?{urlencode(given)}" if given else path, None)

    def _ask(self, method: str, target: str, body: bytes | None) -> Document | None:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        token = read_secret(self._token_file)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout_s)
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            data = answer.read(ANSWER_BYTES_MAX)
            document = json.loads(data)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise TelemetryUnavailable(f"no answer from telemetry: {error!r}") from error
        finally:
            connection.close()
        if answer.status == 404:
            return None
        if answer.status >= 300 or not isinstance(document, dict):
            reason = document.get("error", "") if isinstance(document, dict) else ""
            raise TelemetryUnavailable(reason or f"status {answer.status}", answer.status)
        return document
