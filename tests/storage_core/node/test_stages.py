"""Stage times are found by log index, waited for, and never another batch's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

from storage_core import bulk
from storage_core.log.writer import WriteDone
from storage_core.stages import BATCHES_MAX, BatchBook, BatchTimes, FollowerTimes, StageQuestions
from telemetry import names

MS = 1_000_000


def play(story: Callable[[BatchBook], Awaitable[None]]) -> None:
    async def run() -> None:
        await story(BatchBook(0, asyncio.get_running_loop()))

    asyncio.run(run())


def make_batch(batch_id: int, first_index: int, last_index: int) -> BatchTimes:
    batch = BatchTimes(
        batch_id=batch_id, first_index=first_index, last_index=last_index, taken_ns=100 * MS
    )
    batch.append_start_ns, batch.appended_ns = 101 * MS, 102 * MS
    batch.flushed_ns, batch.committed_ns = 105 * MS, 106 * MS
    return batch


def test_a_write_shows_its_leader_and_both_followers() -> None:
    async def story(book: BatchBook) -> None:
        book.opened(make_batch(7, 10, 20))
        book.acknowledged(1, 20, (1000, 200, 300, 2000), 110 * MS)
        book.acknowledged(2, 20, (0, 0, 0, 500), 130 * MS)

        found = await book.stages_of(15, [1, 2])

        own = [(s.stage, s.start_ns // MS, s.end_ns // MS) for s in found if s.node == 0]
        assert own == [
            (names.APPEND, 101, 102),
            (names.FLUSH, 102, 105),
            (names.QUORUM, 105, 106),
        ]
        one = [s for s in found if s.node == 1]
        assert [s.stage for s in one] == [
            names.PEER_RECEIVE,
            names.PEER_CHECK,
            names.PEER_APPEND,
            names.PEER_FLUSH,
        ]
        assert one[-1].end_ns == 110 * MS
        assert one[0].start_ns == 110 * MS - 3500 * 1000
        assert all(a.end_ns == b.start_ns for a, b in pairwise(one))
        assert {s.batch_id for s in found} == {7}

    play(story)


def test_a_late_follower_is_waited_for() -> None:
    async def story(book: BatchBook) -> None:
        book.opened(make_batch(1, 1, 5))
        book.acknowledged(1, 5, (1, 1, 1, 1), 110 * MS)
        asked = asyncio.ensure_future(book.stages_of(3, [1, 2]))
        await asyncio.sleep(0)
        assert not asked.done()

        book.acknowledged(2, 5, (1, 1, 1, 1), 120 * MS)

        assert {stage.node for stage in await asked} == {0, 1, 2}

    play(story)


def test_an_acknowledgement_counts_for_all_batches_before() -> None:
    async def story(book: BatchBook) -> None:
        for number in range(5):
            book.opened(make_batch(number, number * 10, number * 10 + 9))

        book.acknowledged(1, 25, (1, 1, 1, 1), 1)

        found = [book.find(number * 10) for number in range(5)]
        known = [batch is not None and 1 in batch.acknowledged for batch in found]
        assert known == [True, True, False, False, False], "index 29 is not acknowledged yet"

    play(story)


def test_only_batches_of_this_leadership_are_found() -> None:
    async def story(book: BatchBook) -> None:
        book.opened(make_batch(1, 1, 10))
        book.opened(make_batch(2, 11, 20))
        book.forget_after(10)
        assert book.find(15) is None and book.find(10) is not None

        book.opened(make_batch(3, 8, 12))
        found = book.find(9)
        assert found is not None and found.batch_id == 3
        assert book.find(5) is None, "what overlapped was written again"

    play(story)


def test_the_book_is_bounded() -> None:
    async def story(book: BatchBook) -> None:
        for number in range(5 * BATCHES_MAX):
            book.opened(make_batch(number, number, number))

        assert book.find(5 * BATCHES_MAX - 1) is not None
        assert book.find(2 * BATCHES_MAX) is None

    play(story)


def test_a_follower_tells_the_times_of_the_write_that_came_after() -> None:
    times = FollowerTimes()
    times.received(10 * MS, 11 * MS, 13 * MS)
    times.flushed(WriteDone(1, 5 * MS, 6 * MS, 14 * MS))
    assert not times.last_us, "this write had begun before"

    times.flushed(WriteDone(2, 14 * MS, 15 * MS, 20 * MS))

    assert times.last_us == (1000, 2000, 2000, 5000)


def test_a_question_is_forgotten_when_its_asker_goes_away() -> None:
    async def story(book: BatchBook) -> None:
        asked: list[bulk.StagesAsk] = []

        def ask(question: bulk.StagesAsk) -> bool:
            asked.append(question)
            return True

        questions = StageQuestions(
            asyncio.get_running_loop(),
            book=book,
            others=(1, 2),
            leads=lambda: False,
            ask=ask,
            tell=lambda node, reply: None,
        )
        waiting = [asyncio.ensure_future(questions.stages_of(index)) for index in (1, 2)]
        await asyncio.sleep(0)
        assert questions.open_count == 2

        waiting[0].cancel()
        questions.answered(bulk.StagesReply(asked[1].request_id, ()))
        questions.answered(bulk.StagesReply(99, ()))
        await asyncio.wait(waiting)

        assert questions.open_count == 0
        assert waiting[1].result() == ()

    play(story)
