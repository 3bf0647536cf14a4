"""Records that are whole and yet not ours: left over, misplaced, or before the start."""

from __future__ import annotations

import pytest

from storage_core.io.checksum import crc64
from storage_core.log.format import (
    BROKEN_CHAIN,
    Position,
    encode_record,
)
from storage_core.log.recovery import walk_segment
from tests.storage_core.log.samples import (
    IDENTITY,
    Segments,
    entries_of,
    flush,
    make_entries,
    make_entry,
    recovered,
    reopened,
    watermark_at,
    written,
)


def test_what_is_left_of_a_truncate_breaks_the_chain() -> None:
    segments = Segments()
    log = written(make_entries(1, [10, 10, 10]), segments)
    log.truncate(2)
    log.append(make_entries(2, [10], term=2))
    flush(log, segments)

    found = recovered(segments)

    assert found.end == log.table.end
    assert found.cut is not None
    assert (found.cut.index, found.cut.reason) == (3, BROKEN_CHAIN)


def test_a_left_over_of_a_later_term_breaks_the_chain_as_well() -> None:
    # A new leader may replace entries of term 5 by one of term 4 that it never lost.
    segments = Segments()
    log = written(make_entries(1, [10, 10, 10], term=3), segments)
    log.truncate(2)
    log.append(make_entries(2, [10, 10], term=5))
    flush(log, segments)
    log.truncate(2)
    log.append(make_entries(2, [10], term=4))
    flush(log, segments)

    found = recovered(segments)

    assert found.end == log.table.end
    assert found.cut is not None
    assert (found.cut.index, found.cut.reason) == (3, BROKEN_CHAIN)


@pytest.mark.parametrize("stated", [Position(0, 8), Position(1, 0)])
def test_a_record_that_belongs_elsewhere_is_refused(stated: Position) -> None:
    segments = Segments()
    head, _, _ = encode_record(make_entry(1), stated, 0, IDENTITY, crc64)
    segments.ensure(0)[: len(head)] = head

    found = recovered(segments)

    assert found.end.index == 0


def test_a_record_that_moved_on_although_it_fits_is_refused() -> None:
    # As a node would write that was told a smaller segment size.
    segments = Segments(segment_bytes=512)
    written(make_entries(1, [200, 200, 200]), segments)
    segments.segment_bytes = 1024
    segments.files[0] += bytes(512)
    segments.files[1] += bytes(512)

    assert recovered(segments).end.index == 1


def test_recovery_from_a_later_start_reads_nothing_before_it() -> None:
    segments = Segments()
    entries = make_entries(1, [700, 900, 700, 700])
    log = written(entries, segments)
    log.compact(2)
    watermark = watermark_at(log, 3)
    del segments.files[0], segments.files[1]

    found = recovered(segments, watermark)

    assert entries_of(reopened(segments, found)) == entries[2:]
    assert found.table.term_at(2) == 1


def test_a_walk_shows_every_record_of_one_segment() -> None:
    segments = Segments()
    entries = make_entries(1, [0, 13, 200, 0, 300, 96, 40])
    log = written(entries, segments)

    walked = [
        (header.index, meta, header.body_extent)
        for segment_seq in sorted(segments.files)
        for header, meta in walk_segment(
            segment_seq=segment_seq,
            offset=0,
            read=segments.read,
            identity=IDENTITY,
            crc64=crc64,
            segment_bytes=segments.segment_bytes,
        )
    ]

    assert walked == [(entry.index, entry.meta, log.extent_of(entry.index)) for entry in entries]
