"""The bytes between peers: docs/formats/peer-wire.md."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_core.raft import wire
from storage_core.raft.messages import (
    Append,
    AppendReply,
    Entry,
    Heartbeat,
    Message,
    Outgoing,
)

u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
FIELD = {
    "sender": u16,
    "granted": st.booleans(),
    "transfer": st.booleans(),
    "success": st.booleans(),
}


@st.composite
def appends(draw: st.DrawFn) -> Append:
    term, prev_term = sorted((draw(u64), draw(u64)), reverse=True)
    prev_index = draw(st.integers(0, 2**60))
    entry_terms = sorted(draw(st.lists(st.integers(prev_term, term), max_size=5)))
    entries = tuple(
        Entry(
            entry_term,
            prev_index + 1 + at,
            draw(st.integers(0, 255)),
            draw(u64),
            draw(st.binary(min_size=16, max_size=16)),
            draw(st.binary(max_size=40)),
            draw(st.binary(max_size=40)),
            draw(u64),
        )
        for at, entry_term in enumerate(entry_terms)
    )
    return Append(term, draw(u16), prev_index, prev_term, draw(u64), draw(u64), draw(u64), entries)


def of_kind(kind: Any) -> st.SearchStrategy[Message]:
    fields: dict[str, Any] = {
        name: FIELD.get(name, u64) for name in kind._fields if name != "stages"
    }
    if "stages" in kind._fields:
        fields["stages"] = st.lists(u32, max_size=16).map(tuple)
    return st.builds(kind, **fields)


KINDS = get_args(Message)
any_message = st.one_of(appends(), *[of_kind(kind) for kind in KINDS if kind is not Append])


def joined(message: Message) -> bytes:
    return b"".join(wire.encode(message))


@given(any_message)
def test_what_is_decoded_equals_what_was_encoded(message: Message) -> None:
    frame = joined(message)

    assert wire.LENGTH.unpack_from(frame)[0] == len(frame) - 4
    assert wire.decode(memoryview(frame)[4:]) == message


@given(any_message, st.data())
def test_a_cut_or_padded_frame_is_refused(message: Message, data: st.DataObject) -> None:
    frame = memoryview(joined(message))[4:]

    with pytest.raises(wire.DamagedFrame):
        wire.decode(frame[: data.draw(st.integers(0, len(frame) - 1))])
    with pytest.raises(wire.DamagedFrame):
        wire.decode(memoryview(bytes(frame) + b"\0"))


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_is_a_message(garbage: bytes) -> None:
    try:
        message = wire.decode(memoryview(garbage))
    except wire.DamagedFrame:
        return
    assert type(message) in KINDS


def test_bodies_are_passed_on_without_a_copy() -> None:
    body = bytes(300_000)
    entry = Entry(1, 1, 1, 0, bytes(16), b"meta", body, 0)

    buffers = wire.encode(Append(1, 1, 0, 0, 0, 0, 0, (entry,)))

    assert buffers[1] is body


def test_what_two_peers_get_is_encoded_once_and_keeps_its_order() -> None:
    entry = Entry(3, 8, 1, 0, bytes(16), b"meta", b"body" * 1000, 1)
    append = Append(3, 0, 7, 3, 7, 0, 5, (entry,))
    beat = Heartbeat(3, 0, 7, 7, 9)

    found = wire.frames(
        [Outgoing(1, append, False), Outgoing(2, append, False), Outgoing(1, beat, False)], ()
    )

    assert [found[1][0], found[1][1]] == found[2] == wire.encode(append)
    assert found[1][0] is found[2][0], "the same bytes, not equal ones"
    assert found[1][2:] == wire.encode(beat)


def test_an_acknowledgement_tells_how_long_the_write_took_and_a_refusal_does_not() -> None:
    done = AppendReply(3, 1, True, 8, 0, 0, 5, ())
    refused = AppendReply(3, 1, False, 8, 7, 2, 5, ())

    found = wire.frames([Outgoing(0, done, True), Outgoing(0, refused, False)], (10, 20))

    assert found[0] == [*wire.encode(done._replace(stages=(10, 20))), *wire.encode(refused)]


def test_an_entry_of_a_term_above_its_messages_is_refused() -> None:
    entry = Entry(5, 1, 1, 0, bytes(16), b"", b"", 0)

    with pytest.raises(wire.DamagedFrame):
        wire.decode(memoryview(joined(Append(4, 1, 0, 0, 0, 0, 0, (entry,))))[4:])


def test_the_example_of_the_document_is_what_is_sent() -> None:
    with open("docs/formats/peer-wire.md") as page:
        example = page.read().rsplit("```", 2)[1]

    assert joined(Heartbeat(7, 2, 300, 299, 1_000_000)) == bytes.fromhex(example)
