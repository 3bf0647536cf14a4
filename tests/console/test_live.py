from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient

from console.live import broadcast as broadcasting
from console.live.broadcast import Broadcast, message
from console.live.facts import Traffic
from console.live.observatory import Observatory, Picture
from console.live.reading import BLIND_AFTER_MS, Sight, answered, silent
from tests.console.twins import FleetTwin, in_loop

ANSWER_S_MAX = 10.0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcasting, "LOOK_INTERVAL_S", 0.01)


class Fresh(Observatory):
    """Takes a new picture whenever it is asked for one, until it can't any more."""

    is_broken = False

    def picture(self, *, max_age_ms: int) -> Picture:
        if self.is_broken:
            raise RuntimeError("no thread left")
        return super().picture(max_age_ms=0)


async def read_until(stream: AsyncIterator[bytes], wanted: str) -> str:
    """What the stream sent up to the first chunk with `wanted` in it."""
    seen = ""
    async with asyncio.timeout(ANSWER_S_MAX):
        async for chunk in stream:
            seen += chunk.decode()
            if wanted in seen:
                return seen
    raise AssertionError(f"the stream ended without {wanted!r}")


@pytest.mark.django_db
@in_loop
async def test_the_stream_sends_fragments_and_points(person: User, quick: None) -> None:
    client = AsyncClient()
    await sync_to_async(client.force_login)(person)

    answer: Any = await client.get("/live/events/now")
    stream = aiter(answer.streaming_content)
    seen = await read_until(stream, "event: series")
    rest = await read_until(stream, "\n\n")
    await stream.aclose()

    assert answer["Content-Type"] == "text/event-stream"
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert 'hx-target="#page-head"' in seen and "Healthy: serving 214/s" in seen
    points = json.loads((seen + rest).split("event: series\ndata: ", 1)[1].split("\n", 1)[0])
    assert points["sight"] == "ok" and len(points["series"]["requests_per_s"]) == 24
    assert len(points["series"]["flush_p99_ms:node-1"]) == 24


@pytest.mark.django_db
@in_loop
async def test_a_stranger_gets_no_stream() -> None:
    answer = await AsyncClient().get("/live/events/now")

    assert answer.status_code == 302


@pytest.mark.django_db
@in_loop
async def test_an_unknown_page_has_no_stream(person: User) -> None:
    client = AsyncClient()
    await sync_to_async(client.force_login)(person)

    assert (await client.get("/live/events/secrets")).status_code == 404


@in_loop
async def test_many_listeners_share_one_look(quick: None) -> None:
    twin = FleetTwin()
    broadcast = Broadcast(Observatory(twin))
    streams = [
        broadcast.events("now", lambda picture: f"seen {picture.sequence}") for _ in range(20)
    ]

    await asyncio.gather(*(read_until(stream, "seen 1\n") for stream in streams))
    looks = twin.looks.count("telemetry")
    for stream in streams:
        await stream.aclose()

    assert looks <= 2
    assert broadcast.listener_count == 0


@in_loop
async def test_what_many_listeners_wake_to_is_rendered_once_and_not_kept_for_ever(
    quick: None,
) -> None:
    broadcast = Broadcast(Fresh(FleetTwin()))
    rendered: list[tuple[str, int]] = []

    def render_as(page: str) -> Callable[[Picture], str]:
        return lambda picture: rendered.append((page, picture.sequence)) or page  # type: ignore[func-returns-value]

    async def listen(page: str) -> None:
        stream = broadcast.events(page, render_as(page))
        for _ in range(6):
            await anext(stream)
        await stream.aclose()

    async with asyncio.timeout(ANSWER_S_MAX):
        await asyncio.gather(*(listen("now") for _ in range(20)))
        for number in range(5):
            await listen(f"incident-{number}")

    assert len(rendered) == len(set(rendered)) > 5
    assert len(broadcast._rendered) <= 2


@in_loop
async def test_the_bound_on_listeners_holds_and_frees(
    quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcasting, "LISTENERS_MAX", 1)
    broadcast = Broadcast(Observatory(FleetTwin()))
    stream = broadcast.events("now", lambda picture: "seen")

    full = [broadcast.is_full]
    await read_until(stream, "seen")
    full.append(broadcast.is_full)
    await stream.aclose()
    full.append(broadcast.is_full)

    assert full == [False, True, False]


@in_loop
async def test_a_stream_ends_rather_than_hangs_when_looking_fails(quick: None) -> None:
    observatory = Fresh(FleetTwin())
    broadcast = Broadcast(observatory)
    stream = broadcast.events("now", lambda picture: "seen")
    await read_until(stream, "seen")
    observatory.is_broken = True

    with pytest.raises(RuntimeError, match="no thread left"):
        await read_until(stream, "never")

    assert broadcast.listener_count == 0


@in_loop
async def test_a_part_that_dies_is_told_while_the_stream_goes_on(quick: None) -> None:
    twin = FleetTwin()
    broadcast = Broadcast(Observatory(twin))
    stream = broadcast.events("now", lambda picture: picture.telemetry.sight.value + ".")

    await read_until(stream, "data: ok.")
    twin.down = {"telemetry"}
    seen = await read_until(stream, "data: stale.")
    await stream.aclose()

    assert '"sight": "stale"' in seen or "stale." in seen


def test_a_reading_goes_stale_then_blind_and_keeps_its_time() -> None:
    good = answered("telemetry", 7, 1_000)

    stale = silent("telemetry", good, "gone", 1_000 + BLIND_AFTER_MS - 1)
    blind = silent("telemetry", stale, "gone", 1_000 + BLIND_AFTER_MS)

    assert (stale.sight, stale.value, stale.as_of_ms, stale.current) == (
        Sight.STALE,
        7,
        1_000,
        None,
    )
    assert (blind.sight, blind.value, blind.as_of_ms) == (Sight.BLIND, 7, 1_000)


def test_an_answer_that_can_not_be_read_makes_only_its_own_part_silent() -> None:
    class Odd(FleetTwin):
        def traffic(self) -> Traffic:
            raise KeyError("as_of_ms")

    picture = Observatory(Odd()).picture(max_age_ms=0)

    assert [part.part for part in picture.silent_parts] == ["telemetry"]
    assert "can't be read: KeyError" in picture.telemetry.reason


def test_a_part_that_never_answered_is_blind_at_once() -> None:
    assert silent("node-0", None, "gone", 5).sight is Sight.BLIND


def test_a_message_of_many_lines_stays_one_event() -> None:
    assert message("a\nb", event="x") == "event: x\ndata: a\ndata: b\n\n"
