"""What one node asks of another arrives as it was, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_core import bulk
from storage_core.catalog.commands import Outcome
from storage_core.frontend.port import RemoteStage

U64 = st.integers(0, (1 << 64) - 1)
TEXT = st.text(max_size=40)
SUBMITS = st.builds(
    bulk.Submit,
    U64,
    st.integers(0, 255),
    st.binary(min_size=16, max_size=16),
    st.binary(max_size=200),
    st.binary(max_size=2000),
    U64,
)
OUTCOMES = st.builds(Outcome, TEXT, U64, U64, TEXT, U64, st.binary(max_size=100))
REPLIES = st.one_of(
    st.builds(bulk.Reply, U64, st.just(bulk.DONE), OUTCOMES),
    st.builds(bulk.Reply, U64, st.sampled_from([bulk.NOT_LEADER, bulk.OVERLOADED]), st.none()),
)
STAGES = st.builds(RemoteStage, st.integers(0, 9), st.integers(0, 99), U64, U64, U64)
STAGES_REPLIES = st.builds(bulk.StagesReply, U64, st.lists(STAGES, max_size=9).map(tuple))
MESSAGES = st.one_of(SUBMITS, REPLIES, STAGES_REPLIES, st.builds(bulk.StagesAsk, U64, U64))


def framed(message: bulk.BulkMessage) -> bytes:
    return b"".join(bytes(buffer) for buffer in bulk.encode(message))


@given(MESSAGES)
def test_a_message_arrives_as_it_was_sent(message: bulk.BulkMessage) -> None:
    frame = framed(message)

    assert int.from_bytes(frame[:4], "little") == len(frame) - 4
    assert bulk.decode(memoryview(frame)[4:]) == message


@given(MESSAGES, st.data())
def test_a_cut_frame_is_refused_or_its_body_is_short(
    message: bulk.BulkMessage, data: st.DataObject
) -> None:
    frame = framed(message)[4:]
    cut = frame[: data.draw(st.integers(0, len(frame) - 1))]

    try:
        found = bulk.decode(memoryview(cut))
    except ValueError:
        return

    # Lengths of the last part are the frame's own. A body has its checksum beside it.
    if isinstance(message, bulk.Submit):
        assert found._replace(body=message.body) == message  # type: ignore[call-arg]
    else:
        assert isinstance(message, bulk.Reply) and isinstance(found, bulk.Reply)
        assert message.outcome is not None and found.outcome is not None
        assert found.outcome._replace(detail=message.outcome.detail) == message.outcome


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_value_error(frame: bytes) -> None:
    try:
        found = bulk.decode(memoryview(frame))
    except ValueError:
        return

    assert framed(found)[4:5] == frame[:1]


@pytest.mark.parametrize("frame", [b"", b"\x00", b"\x05" + bytes(60), b"\x02" + bytes(7) + b"\x09"])
def test_what_is_no_message_is_refused(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r"bytes|type"):
        bulk.decode(memoryview(frame))
