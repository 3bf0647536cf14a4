"""The query port: how the console and runbooks ask, without ever opening the store themselves.

What the first page needs (`/v1/now`, `/v1/nodes/series`, `/v1/objectives`) comes from the rings
and is answered on the loop, cached for a second, whatever the store is doing. Everything else
runs on two threads with a short queue: a slow question makes the next one wait or be refused with
503, never the receiver.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from telemetry.receiver import rings
from telemetry.receiver.app import Receiver, check_token
from telemetry.receiver.http import Refused, Request, Response, json_response
from telemetry.receiver.rings import MEASURES, SECONDS_KEPT, Past, Rings
from telemetry.receiver.spool import Spool
from telemetry.store import diagnostics, query, recall
from telemetry.store.engine import open_engine
from telemetry.store.posted import PROFILE_ID, profile_row
from telemetry.store.query import Document, TraceFilter
from telemetry.store.writer import Writer, profile_job

THREADS: Final = 2
WAITING_MAX: Final = 16
BODY_BYTES_MAX: Final = 16 * 1024 * 1024
CACHE_S: Final = 1.0
CACHE_MAX: Final = 64
STEPS_MAX: Final = 720
HEX: Final = re.compile(r"[0-9a-f]{32}")
DAY_MS: Final = 86_400_000

Found = TypeVar("Found")


class Parameters:
    """Query parameters, each read with its bounds; a bad one is named in the refusal."""

    def __init__(self, query_: Mapping[str, str]) -> None:
        self._query = query_

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """An integer from low to high."""
        given = self._query.get(name, "") or str(default)
        try:
            value = int(given)
        except ValueError:
            raise Refused(400, f"{name}: a whole number is expected") from None
        if not low <= value <= high:
            raise Refused(400, f"{name}: from {low} to {high}")
        return value

    def number(self, name: str, default: float) -> float:
        """A number that is not negative."""
        try:
            value = float(self._query.get(name, "") or default)
        except ValueError:
            raise Refused(400, f"{name}: a number is expected") from None
        if not 0.0 <= value < 1e12:
            raise Refused(400, f"{name}: from 0 to 1e12")
        return value

    def text(self, name: str) -> str:
        """A text of bounded length."""
        value = self._query.get(name, "")
        if len(value) > 512:
            raise Refused(400, f"{name}: at most 512 characters")
        return value

    def words(self, name: str) -> list[str]:
        """Names with commas between, of bounded length."""
        return [word for word in self.text(name).split(",") if word]

    def flag(self, name: str) -> bool:
        """Whether something is asked for."""
        return self._query.get(name, "").lower() in ("1", "true", "yes", "on")

    def window(self, default_ms: int) -> tuple[int, int]:
        """since_ms and until_ms."""
        now_ms = time.time_ns() // 1_000_000
        until_ms = self.whole("until_ms", now_ms + 1000, 0, 1 << 52)
        since_ms = self.whole("since_ms", max(0, until_ms - default_ms), 0, 1 << 52)
        return since_ms, until_ms


class QueryPort:
    """Answers the console's questions."""

    def __init__(
        self,
        *,
        folder: Path,
        writer: Writer,
        spool_: Spool,
        rings_: Rings,
        receiver: Receiver,
        token: Callable[[], str],
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._spool = spool_
        self._rings = rings_
        self._receiver = receiver
        self._token = token
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="query")
        self._local = threading.local()
        self._waiting_count = 0
        self._cache: dict[tuple[object, ...], tuple[float, Response]] = {}
        self._routes: dict[str, Callable[[Parameters], Awaitable[Response]]] = {
            "/v1/now": self._now,
            "/v1/nodes/series": self._node_series,
            "/v1/nodes/seconds": self._node_seconds,
            "/v1/objectives": self._objectives,
            "/v1/traces": self._traces,
            "/v1/stages": self._stages,
            "/v1/metrics": self._metrics,
            "/v1/points": self._points,
            "/v1/requests": self._requests,
            "/v1/logs": self._logs,
            "/v1/profiles": self._profiles,
        }

    async def answer(self, request: Request) -> Response:
        """Serve one request."""
        if request.path == "/healthz":
            return json_response(self.health())
        token = self._token()
        check_token(request, token, loopback_is_enough=not token)
        if request.path == "/v1/profiles" and request.method == "POST":
            return await self._post_profile(request)
        if request.method != "GET":
            raise Refused(405, "only GET is served here, and POST /v1/profiles")
        parameters = Parameters(request.query)
        route = self._routes.get(request.path)
        if route is not None:
            return await route(parameters)
        kind, _, name = request.path.removeprefix("/v1/").partition("/")
        if kind == "traces" and HEX.fullmatch(name.lower()):
            return await self._one(lambda client: query.trace(client, name.lower()))
        if kind == "profiles" and PROFILE_ID.fullmatch(name):
            return await self._one(lambda client: query.profile(client, name))
        raise Refused(404, "no such thing here")

    def health(self) -> Document:
        """How far behind the store is, and what was lost."""
        writer = self._writer
        is_open = writer.open.done() and writer.open.exception() is None
        return {
            "ok": is_open,
            "store": "open" if is_open else ("failed" if writer.open.done() else "opening"),
            "spool_bytes": self._spool.bytes,
            "rows": dict(writer.rows),
            "taken": dict(self._receiver.taken),
            "refused": dict(self._receiver.refused),
            "dropped": {**writer.dropped, "rings": self._rings.refused_count},
        }

    def close(self) -> None:
        """Let running questions end."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    # From the rings

    def _cached(self, key: tuple[object, ...], make: Callable[[int], Document]) -> Response:
        now_s = time.monotonic()
        found = self._cache.get(key)
        if found is not None and now_s - found[0] < CACHE_S:
            return found[1]
        if len(self._cache) >= CACHE_MAX:
            self._cache.clear()
        response = json_response(make(time.time_ns() // 1_000_000))
        self._cache[key] = (now_s, response)
        return response

    def _steps(self, parameters: Parameters) -> tuple[int, int]:
        seconds = parameters.whole("seconds", 1800, 1, SECONDS_KEPT - 60)
        step = parameters.whole("step", 5, 1, 600)
        if seconds // step > STEPS_MAX:
            raise Refused(400, f"step: seconds / step is at most {STEPS_MAX}")
        return seconds, step

    async def _now(self, parameters: Parameters) -> Response:
        seconds, step = self._steps(parameters)
        return self._cached(
            ("now", seconds, step),
            lambda now_ms: {
                "as_of_ms": now_ms,
                "sources": {
                    node: {"last_ms": last_ms} for node, last_ms in self._rings.last_ms.items()
                },
                "series": rings.now_series(self._rings, now_ms=now_ms, seconds=seconds, step=step),
                "totals": rings.totals(self._rings, now_ms=now_ms, seconds=seconds),
            },
        )

    async def _node_series(self, parameters: Parameters) -> Response:
        seconds, step = self._steps(parameters)
        measure = parameters.text("measure") or "flush_p99_ms"
        if measure not in MEASURES:
            raise Refused(400, f"measure: one of {', '.join(MEASURES)}")
        return self._cached(
            ("nodes", measure, seconds, step),
            lambda now_ms: dict(
                rings.node_series(
                    self._rings, measure=measure, now_ms=now_ms, seconds=seconds, step=step
                )
            ),
        )

    async def _node_seconds(self, parameters: Parameters) -> Response:
        seconds = parameters.whole("seconds", 900, 1, SECONDS_KEPT - 60)
        write_ms = parameters.number("write_ms", 50.0)
        read_ms = parameters.number("read_ms", 20.0)
        return self._cached(
            ("seconds", seconds, write_ms, read_ms),
            lambda now_ms: rings.node_seconds(
                self._rings, now_ms=now_ms, seconds=seconds, write_ms=write_ms, read_ms=read_ms
            ),
        )

    async def _objectives(self, parameters: Parameters) -> Response:
        seconds, step = self._steps(parameters)
        write_ms = parameters.number("write_ms", 50.0)
        read_ms = parameters.number("read_ms", 20.0)
        return self._cached(
            ("objectives", seconds, step, write_ms, read_ms),
            lambda now_ms: {
                "as_of_ms": now_ms,
                "sources": dict(self._rings.last_ms),
                "counts": rings.objective_counts(
                    self._rings,
                    now_ms=now_ms,
                    seconds=seconds,
                    step=step,
                    write_ms=write_ms,
                    read_ms=read_ms,
                ),
            },
        )

    # From the store

    async def past(self, since_ms: int, until_ms: int) -> list[Past]:
        """What the rings would know of [since_ms, until_ms), had they been there. Raises Refused
        where the store doesn't answer.
        """
        return await self._ask(
            lambda client: recall.past(client, since_ms=since_ms, until_ms=until_ms)
        )

    async def _ask(self, job: Callable[[Client], Found]) -> Found:
        if not (self._writer.open.done() and self._writer.open.exception() is None):
            raise Refused(503, "the store is not open", retry_after_s=1)
        if self._waiting_count >= WAITING_MAX:
            raise Refused(503, "too many questions wait for the store", retry_after_s=1)
        self._waiting_count += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, job)
        except ClickHouseError as error:
            raise Refused(503, f"the store failed: {str(error)[:300]}") from error
        finally:
            self._waiting_count -= 1

    def _run(self, job: Callable[[Client], Found]) -> Found:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = open_engine(self._folder)
        return job(client)

    async def _one(self, job: Callable[[Client], Document | None]) -> Response:
        found = await self._ask(job)
        if found is None:
            raise Refused(404, "not stored (any more, or yet)")
        return json_response(found)

    async def _traces(self, parameters: Parameters) -> Response:
        since_ms, until_ms = parameters.window(3_600_000)
        wanted = TraceFilter(
            since_ms=since_ms,
            until_ms=until_ms,
            service=parameters.text("service"),
            operation=parameters.text("operation"),
            node=parameters.text("node"),
            reason=parameters.text("reason"),
            min_ms=parameters.number("min_ms", 0.0),
            error=parameters.flag("error"),
            limit=parameters.whole("limit", 50, 1, query.LIMIT_MAX),
        )
        return await self._one(lambda client: query.traces(client, wanted))

    async def _stages(self, parameters: Parameters) -> Response:
        seconds = parameters.whole("seconds", 300, 1, DAY_MS // 1000)
        since_ms, until_ms = parameters.window(seconds * 1000)
        operation = parameters.text("operation")
        return await self._one(
            lambda client: query.stages(
                client, since_ms=since_ms, until_ms=until_ms, operation=operation
            )
        )

    async def _metrics(self, parameters: Parameters) -> Response:
        name = parameters.text("name")
        if not name:
            raise Refused(400, "name: a metric's name is needed")
        since_ms, until_ms = parameters.window(3_600_000)
        step_s = parameters.whole("step", 10, 1, 3600)
        service = parameters.text("service")
        return await self._one(
            lambda client: query.metric_series(
                client,
                name=name,
                since_ms=since_ms,
                until_ms=until_ms,
                step_s=step_s,
                service=service,
            )
        )

    async def _points(self, parameters: Parameters) -> Response:
        wanted, by = parameters.words("names"), parameters.words("by")
        if not wanted:
            raise Refused(400, "names: at least one metric's name is needed")
        since_ms, until_ms = parameters.window(900_000)
        step_s = parameters.whole("step", 5, 1, 3600)
        return await self._one(
            lambda client: diagnostics.points(
                client, wanted=wanted, by=by, since_ms=since_ms, until_ms=until_ms, step_s=step_s
            )
        )

    async def _requests(self, parameters: Parameters) -> Response:
        since_ms, until_ms = parameters.window(300_000)
        limit = parameters.whole("limit", 150, 1, query.LIMIT_MAX)
        return await self._one(
            lambda client: diagnostics.requests(
                client, since_ms=since_ms, until_ms=until_ms, limit=limit
            )
        )

    async def _logs(self, parameters: Parameters) -> Response:
        since_ms, until_ms = parameters.window(3_600_000)
        trace_id = parameters.text("trace_id").lower()
        if trace_id and not HEX.fullmatch(trace_id):
            raise Refused(400, "trace_id: 32 hexadecimal digits")
        service, text = parameters.text("service"), parameters.text("text")
        severity_min = parameters.whole("severity_min", 0, 0, 24)
        limit = parameters.whole("limit", 100, 1, query.LIMIT_MAX)
        return await self._one(
            lambda client: query.logs(
                client,
                since_ms=since_ms,
                until_ms=until_ms,
                service=service,
                trace_id=trace_id,
                severity_min=severity_min,
                text=text,
                limit=limit,
            )
        )

    async def _profiles(self, parameters: Parameters) -> Response:
        target = parameters.text("target")
        limit = parameters.whole("limit", 50, 1, query.LIMIT_MAX)
        return await self._one(lambda client: query.profiles(client, target=target, limit=limit))

    async def _post_profile(self, request: Request) -> Response:
        row = profile_row(request.body)
        if not (self._writer.open.done() and self._writer.open.exception() is None):
            raise Refused(503, "the store is not open", retry_after_s=1)
        try:
            await asyncio.wrap_future(self._writer.call(profile_job(row)))
        except ClickHouseError as error:
            raise Refused(503, f"the store failed: {str(error)[:300]}") from error
        return json_response({"id": row[0]}, 201)
