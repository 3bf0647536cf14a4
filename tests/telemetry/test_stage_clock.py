import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry import names
from telemetry.stage_clock import MARKS_MAX, StageClock, parse_traceparent

stages = st.integers(min_value=0, max_value=names.RESPOND)
marks = st.lists(st.tuples(stages, st.integers(min_value=0, max_value=10_000)), max_size=60)


@given(marks)
def test_stages_add_up_to_the_wall_time_whatever_was_stamped(stamps: list[tuple[int, int]]) -> None:
    clock = StageClock(names.PUT_BLOB, start_ns=1_000)
    for stage, at_ns in stamps:
        clock.stamp_all((stage, at_ns))

    assert sum(clock.spent_ns().values()) == clock.total_ns
    assert sum(stage.end_ns - stage.start_ns for stage in clock.stages) == clock.total_ns
    assert clock.end_ns == max([1_000, *(at_ns for _, at_ns in stamps)])


@given(marks)
def test_stages_follow_each_other_without_gap_or_overlap(stamps: list[tuple[int, int]]) -> None:
    clock = StageClock(names.GET_BLOB, start_ns=500)
    for stage, at_ns in stamps:
        clock.stamp_all((stage, at_ns))

    last_ns = clock.start_ns
    for _, start_ns, end_ns in clock.stages:
        assert start_ns == last_ns
        assert end_ns >= start_ns
        last_ns = end_ns


@settings(max_examples=10)
@given(st.lists(st.tuples(stages, st.integers(0, 10_000)), min_size=MARKS_MAX, max_size=600))
def test_folding_keeps_every_nanosecond(stamps: list[tuple[int, int]]) -> None:
    folded, plain = StageClock(start_ns=0), StageClock(start_ns=0)
    for stage, at_ns in stamps:
        plain.stamp_all((stage, at_ns))
        folded.stamp_all((stage, at_ns))
        folded.fold()

    assert len(folded.marks) < MARKS_MAX
    assert folded.spent_ns() == plain.spent_ns()
    assert folded.total_ns == plain.total_ns


def test_a_stamp_takes_the_time_of_the_clock() -> None:
    clock = StageClock(names.PUT_BLOB)

    clock.stamp(names.RECEIVE)
    clock.stamp(names.PARSE)

    assert [stage.stage for stage in clock.stages] == [names.RECEIVE, names.PARSE]
    assert clock.total_ns > 0


def test_a_traceparent_is_followed_with_all_its_flags() -> None:
    clock = StageClock()

    clock.follow("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03")

    assert f"{clock.trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert f"{clock.parent_span_id:016x}" == "00f067aa0ba902b7"
    assert clock.flags == 3
    assert clock.identify() == clock.trace_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4bf92f3577b34da6a3ce929d0e0e47_6-00f067aa0ba902b7-01",
    ],
)
def test_a_malformed_traceparent_is_ignored(text: str) -> None:
    clock = StageClock()

    clock.follow(text)

    assert parse_traceparent(text) is None
    assert (clock.trace_id, clock.flags) == (0, 0)
    assert clock.identify() != 0


def test_a_later_version_of_traceparent_may_carry_more() -> None:
    text = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"

    assert parse_traceparent(text) is not None


def test_stages_and_operations_have_one_name_each() -> None:
    known = [name for name in names.OPERATION_NAMES if name != "Unknown"]

    assert len(set(names.STAGE_NAMES)) == names.STAGE_COUNT
    assert len(set(known)) == len(known)
    assert names.OPERATION_NAMES[names.PUT_BLOB] == "PutBlob"
    assert names.OPERATION_NAMES[names.PREFLIGHT] == "Preflight"
    assert names.STAGE_NAMES[names.QUORUM] == "quorum"
    assert names.WRITES.isdisjoint(names.READS)
    assert names.kind_of(names.LIST_BLOBS) == "read"
    assert names.kind_of(names.UNKNOWN) == "other"
