"""The log as Raft sees it, against a plain list."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_core.log.entries import MERGE_BYTES_MAX, EntryLog
from storage_core.log.format import SEGMENT_BYTES
from storage_core.raft.messages import Entry
from tests.storage_core.log.samples import (
    Segments,
    entries_of,
    flush,
    make_entries,
    make_log,
    recovered,
    reopened,
    watermark_at,
    written,
)

SIZES = st.lists(st.integers(0, 400), min_size=1, max_size=8)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), SIZES),
        st.tuples(st.just("truncate"), st.integers(0, 12)),
        st.tuples(st.just("flush"), st.none()),
        st.tuples(st.just("compact"), st.integers(0, 12)),
        st.tuples(st.just("reopen"), st.none()),
    ),
    max_size=25,
)


class Model:
    """A log as a list. `gone` entries were compacted away."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.gone = 0
        self.term = 1

    def append(self, sizes: list[int]) -> list[Entry]:
        added = make_entries(len(self.entries) + 1, sizes, self.term)
        self.entries += added
        return added

    def truncate(self, from_index: int) -> None:
        del self.entries[from_index - 1 :]
        self.term += 1


@settings(deadline=None, max_examples=150)
@given(steps=STEPS)
def test_the_log_does_what_a_list_does(steps: list[tuple[str, object]]) -> None:
    segments = Segments()
    log = make_log(segments, cache_bytes=500)
    model = Model()

    for verb, argument in steps:
        if verb == "append":
            assert isinstance(argument, list)
            log.append(model.append(argument))
        elif verb == "truncate":
            assert isinstance(argument, int)
            from_index = max(len(model.entries) - argument, model.gone) + 1
            log.truncate(from_index)
            model.truncate(from_index)
        elif verb == "compact":
            assert isinstance(argument, int)
            to_index = min(model.gone + argument, log.durable_index)
            log.compact(to_index)
            model.gone = max(model.gone, to_index)
        else:
            flush(log, segments)
            assert log.durable_index == len(model.entries)
            if verb == "reopen":
                found = recovered(segments, watermark_at(log, log.last_index))
                log = reopened(segments, found, cache_bytes=500)
        check_against(model, log)


def check_against(model: Model, log: EntryLog) -> None:
    assert log.first_index == model.gone + 1
    assert log.last_index == len(model.entries)
    assert entries_of(log) == model.entries[model.gone :]
    for index in range(log.first_index, log.last_index + 1):
        assert log.term_at(index) == model.entries[index - 1].term
        assert log.point_at(index).index == index
    assert log.term_at(model.gone) == (model.entries[model.gone - 1].term if model.gone else 0)
    assert log.term_at(len(model.entries) + 1) is None


@settings(deadline=None, max_examples=60)
@given(sizes=st.lists(st.integers(0, 900), max_size=20), cuts=st.sets(st.integers(0, 19)))
def test_equal_entries_give_equal_bytes_however_they_are_batched(
    sizes: list[int], cuts: set[int]
) -> None:
    entries = make_entries(1, sizes)
    at_once = Segments(filler=b"old bytes")
    written(entries, at_once)
    in_batches = Segments()
    log = make_log(in_batches)

    for number, entry in enumerate(entries):
        log.append([entry])
        if number in cuts:
            flush(log, in_batches)
    flush(log, in_batches)

    last_segment, end = log.table.end.position
    for segment_seq in at_once.files:
        length = end if segment_seq == last_segment else at_once.segment_bytes
        assert at_once.read(segment_seq, 0, length) == in_batches.read(segment_seq, 0, length)


def test_replicas_that_replaced_entries_end_with_the_same_segments() -> None:
    straight, detour = Segments(), Segments(filler=b"HFR1")
    common = make_entries(1, [100, 200, 300])
    replaced = make_entries(4, [500, 50, 600, 20, 900])
    final = make_entries(4, [40, 700, 10, 800, 300], term=2)
    one = written(common + final, straight)
    other = written(common + replaced, detour)

    other.truncate(4)
    other.append(final)
    flush(other, detour)

    assert one.table.end == other.table.end
    last_segment, end = one.table.end.position
    for segment_seq in range(last_segment):
        assert straight.files[segment_seq] == detour.files[segment_seq]
    assert straight.read(last_segment, 0, end) == detour.read(last_segment, 0, end)


def test_entries_stop_at_the_limit_but_give_at_least_one() -> None:
    segments = Segments()
    entries = make_entries(1, [200] * 6)
    log = written(entries, segments)
    size_bytes = log.table.size_of(1)

    for source in (log, reopened(segments, recovered(segments))):
        assert source.entries(2, 6, 1) == entries[1:2]
        assert source.entries(2, 6, 3 * size_bytes) == entries[1:4]
        assert source.entries(2, 6, 3 * size_bytes - 1) == entries[1:3]
        assert source.entries(5, 60, 1 << 20) == entries[4:6]
        assert source.entries(7, 7, 1 << 20) == []


def test_entries_that_are_not_durable_stay_in_memory() -> None:
    segments = Segments()
    log = make_log(segments, cache_bytes=100)
    entries = make_entries(1, [300, 300, 300])
    log.append(entries)

    taken = log.take_write()

    assert entries_of(log) == entries
    assert taken is not None
    segments.write(taken)
    log.mark_durable(2, 1)
    assert entries_of(log) == entries


def test_a_flush_of_replaced_entries_makes_nothing_durable() -> None:
    log = make_log(Segments())
    log.append(make_entries(1, [10, 10, 10]))
    taken = log.take_write()
    assert taken is not None
    log.truncate(2)
    log.append(make_entries(2, [10, 10], term=2))

    log.mark_durable(taken.last_index, taken.last_term)

    assert log.durable_index == 0


def test_large_bodies_are_handed_out_as_they_are() -> None:
    log = make_log(Segments(segment_bytes=SEGMENT_BYTES))
    entries = make_entries(1, [MERGE_BYTES_MAX + 1, 100, 5, MERGE_BYTES_MAX + 3])
    log.append(entries)

    log_write = log.take_write()

    assert log_write is not None
    (write,) = log_write.writes
    bodies = [buffer for buffer in write.buffers if len(buffer) > MERGE_BYTES_MAX]
    assert bodies[0] is entries[0].body
    assert bodies[1] is entries[3].body
    assert len(write.buffers) == 5
    assert (log_write.first_index, log_write.last_index, log_write.record_count) == (1, 4, 4)
    assert log_write.body_bytes == sum(len(entry.body) for entry in entries)


def test_nothing_new_is_nothing_to_write() -> None:
    log = make_log(Segments())
    pending = [log.has_pending_write]
    assert log.take_write() is None

    log.append(make_entries(1, [1]))
    pending.append(log.has_pending_write)
    assert pending == [False, True]
    assert log.take_write() is not None
    assert log.take_write() is None


def test_an_entry_truncated_before_it_was_written_leaves_no_trace() -> None:
    segments = Segments()
    log = make_log(segments)
    log.append(make_entries(1, [10, 20, 30]))

    log.truncate(2)

    log_write = log.take_write()
    assert log_write is not None
    assert log_write.record_count == 1
    assert log.take_write() is None


def test_extents_are_the_same_from_memory_and_from_disk() -> None:
    segments = Segments()
    entries = make_entries(1, [0, 10, 500, 700, 20])
    log = written(entries, segments)
    again = reopened(segments, recovered(segments))

    for entry in entries:
        extent = log.extent_of(entry.index)
        assert again.extent_of(entry.index) == extent
        assert segments.read(extent.segment_seq, extent.offset, extent.length) == entry.body
        assert extent.crc == entry.body_crc


def test_terms_are_kept_by_runs_through_truncate_and_compact() -> None:
    segments = Segments()
    log = make_log(segments)
    terms = [1, 1, 2, 2, 2, 5, 5, 9]
    for index, term in enumerate(terms, 1):
        log.append(make_entries(index, [index], term))
    flush(log, segments)

    log.compact(4)
    assert [log.term_at(index) for index in range(3, 10)] == [None, 2, 2, 5, 5, 9, None]
    log.truncate(7)
    log.append(make_entries(7, [1], 9))
    assert [log.term_at(index) for index in range(3, 9)] == [None, 2, 2, 5, 9, None]


def test_a_log_compacted_to_its_end_goes_on() -> None:
    segments = Segments()
    log = written(make_entries(1, [10, 20], term=3), segments)
    log.compact(2)
    assert (log.first_index, log.last_index, log.term_at(2)) == (3, 2, 3)

    log.append(make_entries(3, [30], term=3))
    flush(log, segments)

    assert log.term_at(3) == 3
    assert recovered(segments, watermark_at(log, 3)).end == log.table.end


def test_asserts_guard_the_order_of_entries() -> None:
    log = make_log(Segments())
    log.append(make_entries(1, [1], term=2))

    for wrong in (make_entries(3, [1], term=2), make_entries(2, [1], term=1)):
        with pytest.raises(AssertionError):
            log.append(wrong)


def test_what_is_durable_decides_what_may_be_compacted() -> None:
    log = make_log(Segments())
    log.append(make_entries(1, [1, 1]))

    with pytest.raises(AssertionError):
        log.compact(1)
