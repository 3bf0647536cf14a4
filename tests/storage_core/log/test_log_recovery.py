"""What a crash or a bad disk may do to a log, and what recovery makes of it."""

from __future__ import annotations

import pytest

from storage_core.errors import CorruptLog
from storage_core.io.checksum import crc64
from storage_core.log.format import (
    BAD_BODY,
    HEADER_BYTES,
    NO_RECORD,
    Identity,
    record_size,
)
from storage_core.log.recovery import recover
from storage_core.log.slots import FIRST_WATERMARK
from storage_core.raft.messages import Entry
from tests.storage_core.log.samples import (
    IDENTITY,
    Segments,
    entries_of,
    flush,
    make_entries,
    make_entry,
    make_log,
    recovered,
    reopened,
    watermark_at,
    write_size,
    written,
)

SIZES = [0, 13, 200, 0, 300, 96, 40]


def record_spans(segments: Segments, entries: list[Entry]) -> list[tuple[int, int, int]]:
    """(segment, first byte, byte after meta and body) of each record."""
    log = make_log(segments)
    log.append(entries)
    spans = []
    for entry in entries:
        segment_seq, offset = log.position_of(entry.index)
        spans.append(
            (segment_seq, offset, offset + HEADER_BYTES + len(entry.meta) + len(entry.body))
        )
    return spans


def test_an_empty_directory_is_an_empty_log() -> None:
    found = recovered(Segments())

    assert found.end.index == 0
    assert found.cut is None


def test_everything_written_comes_back() -> None:
    segments = Segments()
    entries = make_entries(1, SIZES)
    log = written(entries, segments)

    found = recovered(segments, watermark_at(log, 4))

    assert entries_of(reopened(segments, found)) == entries
    assert found.end == log.table.end
    assert found.cut is None


def test_a_flipped_bit_before_the_watermark_is_corruption_wherever_it_is() -> None:
    segments = Segments()
    entries = make_entries(1, SIZES)
    log = written(entries, segments)
    watermark = watermark_at(log, len(entries))

    for number, (segment_seq, first, after) in enumerate(record_spans(segments, entries), 1):
        for offset in range(first, after):
            for bit in range(8):
                segments.files[segment_seq][offset] ^= 1 << bit
                with pytest.raises(CorruptLog) as refused:
                    recovered(segments, watermark)
                segments.files[segment_seq][offset] ^= 1 << bit
                assert refused.value.index == number, (segment_seq, offset, bit)

    assert recovered(segments, watermark).cut is None


def test_a_flipped_bit_after_the_watermark_cuts_to_the_entries_before_it() -> None:
    segments = Segments()
    entries = make_entries(1, SIZES)
    watermark = watermark_at(written(entries, segments), 2)

    spans = record_spans(segments, entries)
    for number, (segment_seq, first, after) in enumerate(spans[2:], 3):
        for offset in range(first, after):
            segments.files[segment_seq][offset] ^= 0x10
            found = recovered(segments, watermark)
            segments.files[segment_seq][offset] ^= 0x10
            assert found.end.index == number - 1, (segment_seq, offset)
            assert entries_of(reopened(segments, found)) == entries[: number - 1]


def test_a_write_torn_at_any_byte_leaves_a_valid_prefix() -> None:
    entries = make_entries(1, SIZES)
    log = make_log(Segments())
    log.append(entries)
    log_write = log.take_write()
    assert log_write is not None

    ends = [written_bytes(entries[:count]) for count in range(1, len(entries) + 1)]
    for filler in (b"\0", b"HFR1\x01\x01\0\0"):
        for kept_bytes in range(0, write_size(log_write) + 1):
            segments = Segments(filler=filler)
            segments.write(log_write, kept_bytes)
            found = recovered(segments)
            survivors = entries_of(reopened(segments, found))
            assert survivors == entries[: len(survivors)], (filler, kept_bytes)
            whole_count = sum(end <= kept_bytes for end in ends)
            assert len(survivors) >= whole_count, (filler, kept_bytes)


def written_bytes(entries: list[Entry]) -> int:
    """Bytes that these entries take in one write, gaps included."""
    log = make_log(Segments())
    log.append(entries)
    log_write = log.take_write()
    assert log_write is not None
    return write_size(log_write)


@pytest.mark.parametrize("new_sizes", [[0], [200], [60, 60, 60], [500, 300], [13, 180, 0]])
@pytest.mark.parametrize("from_index", [1, 3, 4, 7])
def test_a_torn_overwrite_is_the_old_log_or_the_new_one(
    from_index: int, new_sizes: list[int]
) -> None:
    old = make_entries(1, SIZES)
    new = old[: from_index - 1] + make_entries(from_index, new_sizes, term=2)
    before = Segments()
    log = written(old, before)
    log.truncate(from_index)
    log.append(new[from_index - 1 :])
    log_write = log.take_write()
    assert log_write is not None

    for kept_bytes in range(write_size(log_write) + 1):
        segments = before.copy()
        segments.write(log_write, kept_bytes)
        found = recovered(segments)
        survivors = entries_of(reopened(segments, found))
        count = len(survivors)
        assert survivors in (old[:count], new[:count]), kept_bytes
        assert count >= from_index - 1, kept_bytes

    segments = before.copy()
    segments.write(log_write)
    assert entries_of(reopened(segments, recovered(segments))) == new


def test_a_replacement_that_moves_on_buries_the_record_it_replaces() -> None:
    # The old record stands where the log ended; the new one does not fit there. If its bytes
    # stayed, they would still follow the record before, and hide the new one.
    old = make_entries(1, [700, 20])
    segments = Segments()
    log = written(old, segments)
    assert log.position_of(2).segment_seq == 0

    log.truncate(2)
    log.append(make_entries(2, [500], term=2))
    flush(log, segments)

    assert log.position_of(2).segment_seq == 1
    assert entries_of(reopened(segments, recovered(segments)))[1].term == 2


def test_a_replacement_that_no_longer_moves_on_hides_the_record_it_replaces() -> None:
    segments = Segments()
    log = written(make_entries(1, [700, 500, 30]), segments)
    assert log.position_of(2).segment_seq == 1

    log.truncate(2)
    log.append(make_entries(2, [20], term=2))
    flush(log, segments)
    assert log.position_of(2).segment_seq == 0
    assert recovered(segments).end == log.table.end

    # And if the new record rots, the old one behind the filled gap stays hidden.
    segments.files[0][log.position_of(2).offset + 50] ^= 1
    assert recovered(segments).end.index == 1


def test_a_truncate_alone_survives_a_restart() -> None:
    segments = Segments()
    log = written(make_entries(1, SIZES), segments)

    log.truncate(5)
    flush(log, segments)

    assert recovered(segments).end == log.point_at(4)


def test_recovery_gives_the_same_again() -> None:
    segments = Segments(filler=b"HFR1")
    entries = make_entries(1, SIZES)
    log = written(entries, segments)
    segments.files[log.position_of(6).segment_seq][log.position_of(6).offset + 110] ^= 1
    before = segments.copy().files

    first = recovered(segments)
    second = recovered(segments)

    assert first.end == second.end
    assert first.cut == second.cut
    assert segments.files == before


def test_after_a_cut_the_log_goes_on_and_what_was_cut_stays_gone() -> None:
    segments = Segments()
    entries = make_entries(1, SIZES)
    log = written(entries, segments)
    segments.files[log.position_of(4).segment_seq][log.position_of(4).offset + 105] ^= 1
    log = reopened(segments, recovered(segments))

    log.append(make_entries(4, [0], term=2))
    flush(log, segments)

    again = reopened(segments, recovered(segments))
    assert entries_of(again) == entries[:3] + make_entries(4, [0], term=2)


def test_a_recycled_segment_shows_nothing_of_its_former_life() -> None:
    # The same records, at the same offsets, in the same cluster; only the segment differs.
    segments = Segments()
    written(make_entries(1, [700, 900, 700]), segments)
    recycled = segments.copy()
    recycled.files[1] = bytearray(segments.files[0])

    found = recovered(recycled)

    assert found.end.index == 1


def test_bytes_of_another_cluster_are_no_log() -> None:
    segments = Segments()
    written(make_entries(1, SIZES), segments)

    found = recover(
        watermark=FIRST_WATERMARK,
        applied_index=0,
        read=segments.read,
        identity=Identity(IDENTITY.cluster_id + 1, IDENTITY.group_id),
        crc64=crc64,
        segment_bytes=segments.segment_bytes,
    )

    assert found.end.index == 0
    assert found.cut is None


def test_a_record_may_end_exactly_with_its_segment() -> None:
    room = 1024 - record_size(3, 0)
    body = room - record_size(3, 0)
    entries = [make_entry(1), make_entry(2, body=bytes(body)), make_entry(3), make_entry(4)]
    segments = Segments()
    log = written(entries, segments)
    assert log.point_at(2).position.offset == 1024
    assert log.position_of(3) == (1, 0)

    assert recovered(segments).end == log.table.end


def test_a_missing_segment_before_the_watermark_is_corruption() -> None:
    segments = Segments()
    log = written(make_entries(1, [700, 900, 700]), segments)
    del segments.files[1]

    with pytest.raises(CorruptLog) as refused:
        recovered(segments, watermark_at(log, 2))

    assert refused.value.index == 2
    assert refused.value.reason == NO_RECORD


def test_a_log_that_differs_from_the_watermark_is_corruption() -> None:
    segments = Segments()
    log = written(make_entries(1, SIZES), segments)
    other = Segments()
    written(make_entries(1, SIZES, term=2), other)

    with pytest.raises(CorruptLog):
        recovered(other, watermark_at(log, 3))


def test_bodies_are_verified_after_the_applied_index_only() -> None:
    segments = Segments()
    entries = make_entries(1, SIZES)
    log = written(entries, segments)
    segment_seq, offset, _, _ = log.extent_of(3)
    segments.files[segment_seq][offset] ^= 1

    assert recovered(segments, applied_index=3).end.index == len(entries)
    cut = recovered(segments, applied_index=2).cut
    assert cut is not None
    assert (cut.index, cut.reason, cut.follows) == (3, BAD_BODY, True)


def test_a_body_that_rotted_is_refused_when_it_is_read() -> None:
    segments = Segments()
    log = written(make_entries(1, SIZES), segments)
    log = reopened(segments, recovered(segments))
    segment_seq, offset, _, _ = log.extent_of(5)
    segments.files[segment_seq][offset + 7] ^= 1

    with pytest.raises(CorruptLog) as refused:
        log.entries(4, 6, 1 << 20)

    assert refused.value.index == 5
    assert refused.value.reason == BAD_BODY


def test_damage_with_nothing_behind_it_is_told_from_damage_before_later_records() -> None:
    segments = Segments()
    log = written(make_entries(1, [10, 10, 10]), segments)
    last = segments.copy()
    last.files[0][log.position_of(3).offset + 100] ^= 1
    middle = segments.copy()
    middle.files[0][log.position_of(2).offset + 100] ^= 1

    at_the_end = recovered(last).cut
    in_the_middle = recovered(middle).cut

    assert at_the_end is not None
    assert not at_the_end.follows
    assert in_the_middle is not None
    assert in_the_middle.follows
