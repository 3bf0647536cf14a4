"""Which segments are cleaned and which may go."""

from __future__ import annotations

from storage_core.io.checksum import crc64
from storage_core.log.format import Extent
from storage_core.log.gc import (
    SegmentFact,
    choose_victims,
    compact_to,
    plan_moves,
    releasable,
    segment_facts,
)
from storage_core.log.recovery import walk_segment
from tests.storage_core.log.samples import IDENTITY, Segments, make_entries, written


def test_facts_name_closed_segments_with_their_last_index() -> None:
    # Three records a segment: 1-3 in segment 0, 4-6 in 1, 7-9 in 2, and 10 opens segment 3.
    segments = Segments()
    log = written(make_entries(1, [200] * 10), segments)
    log.compact(3)

    facts = segment_facts([0, 1, 2, 3, 4], {1: 400, 3: 200}, log.table)

    assert facts == [SegmentFact(0, 0, 3), SegmentFact(1, 400, 6), SegmentFact(2, 0, 9)]


def test_the_log_is_compacted_at_segment_ends_and_keeps_what_it_must() -> None:
    segments = Segments()
    table = written(make_entries(1, [200] * 15), segments).table
    assert table.end.position.segment_seq == 4

    assert compact_to(table, limit_index=15, retain_segments=2) == 6
    assert compact_to(table, limit_index=5, retain_segments=2) == 3
    assert compact_to(table, limit_index=2, retain_segments=2) == 0
    assert compact_to(table, limit_index=15, retain_segments=4) == 0
    assert compact_to(table, limit_index=15, retain_segments=0) == 12


def test_compacting_again_finds_nothing_more() -> None:
    log = written(make_entries(1, [200] * 15), Segments())
    log.compact(compact_to(log.table, limit_index=15, retain_segments=2))

    assert compact_to(log.table, limit_index=15, retain_segments=2) == log.table.start.index
    assert log.table.start.position == (2, 0)


def test_only_dead_segments_that_everybody_is_past_are_released() -> None:
    facts = [SegmentFact(0, 0, 10), SegmentFact(1, 1, 20), SegmentFact(2, 0, 30)]

    assert releasable(facts, limit_index=30, start_index=30) == [0, 2]
    assert releasable(facts, limit_index=29, start_index=30) == [0]
    assert releasable(facts, limit_index=30, start_index=9) == []


def test_victims_are_mostly_garbage_and_the_old_come_first() -> None:
    facts = [
        SegmentFact(0, 700, 10),
        SegmentFact(1, 300, 20),
        SegmentFact(2, 300, 30),
        SegmentFact(3, 10, 40),
        SegmentFact(4, 0, 50),
        SegmentFact(5, 10, 60),
    ]

    def victims(count_max: int, garbage_percent_min: int = 40) -> list[int]:
        return choose_victims(
            facts,
            limit_index=50,
            start_index=50,
            open_segment_seq=6,
            segment_bytes=1000,
            garbage_percent_min=garbage_percent_min,
            count_max=count_max,
        )

    # 0 is mostly alive, 4 has nothing to move, 5 is not past the limit.
    assert victims(9) == [3, 1, 2]
    assert victims(1) == [3]
    assert victims(9, garbage_percent_min=20) == [3, 1, 2, 0]


def test_a_round_moves_live_bodies_up_to_its_bytes_and_says_where_to_go_on() -> None:
    segments = Segments()
    entries = make_entries(1, [100, 0, 100, 100, 100, 100])
    log = written(entries, segments)
    dead = {log.extent_of(3)}

    def owner_of(meta: bytes, extent: Extent) -> str | None:
        assert meta == b"put"
        return None if extent in dead else "blob at %d" % extent.offset

    def walk_from(offset: int) -> tuple[list[int], int | None]:
        records = walk_segment(
            segment_seq=0,
            offset=offset,
            read=segments.read,
            identity=IDENTITY,
            crc64=crc64,
            segment_bytes=segments.segment_bytes,
        )
        moves, following = plan_moves(records, owner_of, bytes_max=250)
        assert all(owner == "blob at %d" % extent.offset for owner, extent in moves)
        return [extent.offset for _, extent in moves], following.offset if following else None

    first, following = walk_from(0)
    assert first == [log.extent_of(1).offset, log.extent_of(4).offset]
    assert following == log.position_of(5).offset
    assert log.position_of(5).segment_seq == 0
    second, end = walk_from(following)
    assert second[0] == log.extent_of(5).offset
    assert end is None


def test_a_body_larger_than_a_round_is_moved_alone() -> None:
    segments = Segments()
    written(make_entries(1, [400, 300]), segments)
    records = list(
        walk_segment(
            segment_seq=0,
            offset=0,
            read=segments.read,
            identity=IDENTITY,
            crc64=crc64,
            segment_bytes=segments.segment_bytes,
        )
    )

    moves, following = plan_moves(records, lambda meta, extent: "owner", bytes_max=10)

    assert [extent.length for _, extent in moves] == [400]
    assert following == records[1][0].position
