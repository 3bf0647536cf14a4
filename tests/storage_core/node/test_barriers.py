"""A reader is called once: when its read point is applied, or when its time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from storage_core.barriers import ASK_AGAIN_US, Barriers, Reader
from storage_core.errors import StoreError, Unavailable
from storage_core.pending import PARKED_US_MAX
from telemetry.tracing import StageClock


class Asker:
    """What a reader was told."""

    def __init__(self, barriers: Barriers, now_us: int = 0, deadline_us: int = 30_000_000) -> None:
        self.told: list[StoreError | None] = []
        reader = Reader(clock=StageClock(), deadline_us=deadline_us, on_ready=self.told.append)
        barriers.wait(reader, now_us)


def play(story: Callable[[Barriers], Awaitable[None]]) -> None:
    async def run() -> None:
        await story(Barriers(asyncio.get_running_loop()))

    asyncio.run(run())


def test_one_question_serves_all_readers_of_a_tick() -> None:
    async def story(barriers: Barriers) -> None:
        askers = [Asker(barriers) for _ in range(5)]
        context = barriers.next_context(0)
        assert context is not None
        assert barriers.next_context(0) is None

        barriers.ready(context)
        await asyncio.sleep(0)

        assert [asker.told for asker in askers] == [[None]] * 5
        assert barriers.waiting_count == barriers.question_count == 0

    play(story)


def test_who_asks_later_waits_for_the_next_question() -> None:
    async def story(barriers: Barriers) -> None:
        first = Asker(barriers)
        context = barriers.next_context(0)
        second = Asker(barriers)
        assert context is not None

        barriers.ready(context)
        await asyncio.sleep(0)

        assert (first.told, second.told) == ([None], [])
        assert barriers.waiting_count == 1

    play(story)


def test_a_failed_question_is_asked_again() -> None:
    async def story(barriers: Barriers) -> None:
        asker = Asker(barriers)
        for now_us in range(0, 100_000, 10_000):
            context = barriers.next_context(now_us)
            assert context is not None
            barriers.failed(context)
        context = barriers.next_context(200_000)
        assert context is not None

        barriers.ready(context)
        await asyncio.sleep(0)

        assert asker.told == [None]

    play(story)


def test_a_late_answer_to_an_early_question_still_counts() -> None:
    async def story(barriers: Barriers) -> None:
        asker = Asker(barriers)
        early = barriers.next_context(0)
        barriers.sweep(ASK_AGAIN_US + 1)
        late = barriers.next_context(ASK_AGAIN_US + 1)
        assert early is not None and late is not None
        assert barriers.waiting_count == 1

        barriers.ready(early)
        barriers.ready(late)
        barriers.ready(late)
        await asyncio.sleep(0)

        assert asker.told == [None]
        assert barriers.question_count == 0

    play(story)


def test_both_questions_of_a_reader_may_fail() -> None:
    async def story(barriers: Barriers) -> None:
        asker = Asker(barriers)
        early = barriers.next_context(0)
        barriers.sweep(ASK_AGAIN_US + 1)
        late = barriers.next_context(ASK_AGAIN_US + 1)
        assert early is not None and late is not None

        barriers.failed(early)
        barriers.failed(late)
        again = barriers.next_context(ASK_AGAIN_US + 2)
        assert again is not None
        assert barriers.next_context(ASK_AGAIN_US + 2) is None
        barriers.ready(again)
        await asyncio.sleep(0)

        assert asker.told == [None]

    play(story)


def test_a_reader_is_ended_at_its_deadline_and_not_before() -> None:
    async def story(barriers: Barriers) -> None:
        soon = Asker(barriers, deadline_us=300_000)
        parked = Asker(barriers)
        for now_us in range(0, PARKED_US_MAX + 400_000, 50_000):
            barriers.next_context(now_us)
            barriers.sweep(now_us)
            await asyncio.sleep(0)
            assert (len(soon.told) == 0) if now_us <= 300_000 else True
            assert (len(parked.told) == 0) if now_us <= PARKED_US_MAX else True

        for asker in (soon, parked):
            (error,) = asker.told
            assert isinstance(error, Unavailable)
            assert error.outcome == "none"
        barriers.sweep(PARKED_US_MAX * 2)
        assert barriers.waiting_count == barriers.question_count == 0

    play(story)
