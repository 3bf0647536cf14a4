"""One event loop's stream of pictures, for every open page on it.

The loop looks while somebody listens and stops when nobody does. A listener that is slow misses
pictures, it never queues them: each wakes to the newest one. What a page shows of a picture is
rendered once and shared.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from asgiref.sync import sync_to_async

from console.live.facts import FLUSH, Series, Traffic
from console.live.observatory import Observatory, Picture

LOOK_INTERVAL_S = 2.0
LISTENERS_MAX = 200  # One process; each holds a socket and wakes every two seconds.
STREAM_LIFETIME_S = 600.0  # Then the browser connects again, and must still be signed in.
SERIES_TAIL_POINTS = 24

Render = Callable[[Picture], str]


class LookingStopped(Exception):
    """The task that looks is gone while somebody listens."""


class Broadcast:
    def __init__(self, observatory: Observatory) -> None:
        self._observatory = observatory
        self._listeners = 0
        self._looker: asyncio.Task[None] | None = None
        self._next: asyncio.Future[Picture] | None = None
        self._latest: Picture | None = None
        self._rendered: dict[str, tuple[int, str]] = {}
        self._rendering: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def listener_count(self) -> int:
        return self._listeners

    @property
    def is_full(self) -> bool:
        return self._listeners >= LISTENERS_MAX

    def _join(self) -> None:
        self._listeners += 1
        if self._looker is None or self._looker.done():
            self._latest = None  # Nobody looked for a while; what was seen then is old.
            self._next = asyncio.get_running_loop().create_future()
            self._looker = asyncio.create_task(self._look())

    def _leave(self) -> None:
        self._listeners -= 1
        assert self._listeners >= 0, self._listeners

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while self._listeners:
            picture = await asyncio.to_thread(self._observatory.picture, max_age_ms=500)
            self._latest = picture
            waiting, self._next = self._next, loop.create_future()
            if waiting is not None and not waiting.done():
                waiting.set_result(picture)
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def events(self, page: str, render: Render) -> AsyncGenerator[bytes, None]:
        """Server-sent events for one page, until its reader leaves or its time is over.

        A listener counts from the first byte that is asked for, since a generator that was never
        started is never told that its reader left.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + STREAM_LIFETIME_S
        self._join()
        try:
            yield b"retry: 1000\n\n"
            picture = self._latest
            while loop.time() < end:
                if picture is not None:
                    yield (await self._event(page, render, picture)).encode()
                picture = await self._newer()
        finally:
            self._leave()

    async def _newer(self) -> Picture:
        """The next picture. If looking failed, so does every stream: the browser asks again."""
        assert self._next is not None and self._looker is not None, "somebody joined"
        waiting, looker = self._next, self._looker
        both: list[asyncio.Future[Any]] = [waiting, looker]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            looker.result()
            raise LookingStopped
        return waiting.result()

    async def _event(self, page: str, render: Render, picture: Picture) -> str:
        lock = self._rendering.setdefault(page, asyncio.Lock())
        async with lock:  # Who listens wakes at once: one renders, the others find it done.
            kept = self._rendered.get(page)
            if kept is None or kept[0] != picture.sequence:
                # Rendering may read tables, and Django gives each request its own thread for that.
                html = await sync_to_async(render)(picture)
                body = message(html) + message(json.dumps(series_tail(picture)), event="series")
                kept = (picture.sequence, body)
                self._keep(page, kept)
            return kept[1]

    def _keep(self, page: str, rendered: tuple[int, str]) -> None:
        """For who comes next; what nobody looks at any more goes with its picture."""
        sequence = rendered[0]
        young = {name: known for name, known in self._rendered.items() if known[0] >= sequence - 1}
        self._rendered = young | {page: rendered}


def message(text: str, *, event: str = "") -> str:
    head = f"event: {event}\n" if event else ""
    return head + "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"


def series_tail(picture: Picture) -> dict[str, object]:
    """The newest points of every chart; a page that missed more fetches the whole."""
    return series_json(picture, points=SERIES_TAIL_POINTS)


def series_json(picture: Picture, *, points: int | None = None) -> dict[str, object]:
    traffic = picture.telemetry.value
    series = {} if traffic is None else {**traffic.series, **flush_series(traffic)}
    return {
        "taken_ms": picture.taken_ms,
        "sight": picture.telemetry.sight.value,
        "as_of_ms": picture.telemetry.as_of_ms,
        "series": {
            name: list(points_of[-points:] if points else points_of)
            for name, points_of in series.items()
        },
    }


def flush_series(traffic: Traffic) -> dict[str, Series]:
    """Flush p99 of each node, by the names that charts have for them."""
    return {f"{FLUSH}:{node}": series for node, series in traffic.flush_p99_ms.items()}


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Broadcast] = WeakKeyDictionary()


def broadcast_of(observatory: Observatory) -> Broadcast:
    """The broadcast of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _of_loop:
        _of_loop[loop] = Broadcast(observatory)
    return _of_loop[loop]
