"""Records and slots as bytes: what is refused, and with which word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_core.io.checksum import crc64
from storage_core.log.crc64 import crc64 as plain_crc64
from storage_core.log.format import (
    BAD_BODY,
    BAD_HEADER,
    CUT_SHORT,
    FOREIGN_RECORD,
    HEADER_BYTES,
    NO_RECORD,
    UNKNOWN_VERSION,
    Extent,
    Identity,
    Position,
    RecordDamage,
    decode_header,
    encode_record,
    entry_from,
    place,
    record_size,
    segment_name,
)
from storage_core.log.slots import (
    BAD_SLOT,
    FOREIGN_SLOT,
    NO_SLOT,
    NOBODY,
    SLOT_BYTES,
    UNKNOWN_SLOT_VERSION,
    Owner,
    decode_hard_state,
    encode_hard_state,
)
from storage_core.raft.messages import HardState
from tests.storage_core.log.samples import IDENTITY, OWNER, make_entry

HERE = Position(3, 4096)
STATE = HardState(sequence=5, term=9, voted_for=None, commit_index=77)


def record(meta: bytes = b"some meta", body: bytes = b"some body") -> bytearray:
    entry = make_entry(7, term=2, meta=meta, body=body)
    head, _, padding = encode_record(entry, HERE, 99, IDENTITY, crc64)
    return bytearray(head + body + bytes(padding))


def reason_for(buffer: bytearray | bytes, identity: Identity = IDENTITY) -> str:
    with pytest.raises(RecordDamage) as refused:
        header = decode_header(buffer, 0, identity, crc64)
        entry_from(header, buffer, 0, crc64)
    return refused.value.reason


@given(meta=st.binary(max_size=300), body=st.binary(max_size=300), offset=st.integers(0, 64))
def test_a_record_is_read_as_it_was_written(meta: bytes, body: bytes, offset: int) -> None:
    buffer = bytes(offset) + record(meta, body)

    header = decode_header(buffer, offset, IDENTITY, crc64)

    assert len(buffer) - offset == header.size_bytes == record_size(len(meta), len(body))
    assert header.position == HERE
    assert header.prev_crc == 99
    assert entry_from(header, buffer, offset, crc64) == make_entry(7, term=2, meta=meta, body=body)
    assert header.end.position == Position(3, 4096 + header.size_bytes)


def test_a_body_lies_behind_header_and_meta() -> None:
    header = decode_header(record(), 0, IDENTITY, crc64)

    assert header.body_extent == Extent(3, 4096 + HEADER_BYTES + 9, 9, crc64(b"some body"))


def test_damage_has_a_name() -> None:
    damaged = record()
    damaged[30] ^= 1
    assert reason_for(damaged) == BAD_HEADER
    damaged = record()
    damaged[HEADER_BYTES] ^= 1
    assert reason_for(damaged) == BAD_HEADER
    damaged = record()
    damaged[HEADER_BYTES + 9] ^= 1
    assert reason_for(damaged) == BAD_BODY
    assert reason_for(bytes(200)) == NO_RECORD
    assert reason_for(record()[:100]) == CUT_SHORT
    assert reason_for(record()[: HEADER_BYTES + 3]) == CUT_SHORT
    assert reason_for(record()[: HEADER_BYTES + 12]) == CUT_SHORT
    assert reason_for(record(), Identity(IDENTITY.cluster_id, 2)) == FOREIGN_RECORD


def test_a_valid_record_of_another_version_is_not_guessed_at() -> None:
    newer = record(b"", b"")
    newer[4] = 2
    newer[96:104] = crc64(newer[:96]).to_bytes(8, "little")

    assert reason_for(newer) == UNKNOWN_VERSION


def test_a_record_goes_where_it_fits_whole() -> None:
    assert place(Position(1, 0), 512, 512) == Position(1, 0)
    assert place(Position(1, 8), 504, 512) == Position(1, 8)
    assert place(Position(1, 8), 512, 512) == Position(2, 0)
    assert place(Position(1, 512), 8, 512) == Position(2, 0)
    with pytest.raises(AssertionError):
        place(Position(1, 0), 520, 512)


def test_segments_are_named_in_the_order_of_their_numbers() -> None:
    assert segment_name(0) == "log/0000000000000000.seg"
    assert segment_name(0xABC) == "log/0000000000000abc.seg"


def test_a_slot_with_any_flipped_bit_is_refused() -> None:
    slot = bytearray(encode_hard_state(STATE, OWNER, crc64))
    assert len(slot) == SLOT_BYTES

    for offset in range(64):
        slot[offset] ^= 4
        with pytest.raises(RecordDamage) as refused:
            decode_hard_state(slot, OWNER, crc64)
        assert refused.value.reason == (NO_SLOT if offset < 4 else BAD_SLOT)
        slot[offset] ^= 4
    assert decode_hard_state(slot, OWNER, crc64) == STATE


def test_slots_of_others_and_of_other_versions_are_refused() -> None:
    slot = bytearray(encode_hard_state(STATE, OWNER, crc64))
    with pytest.raises(RecordDamage, match=FOREIGN_SLOT):
        decode_hard_state(slot, Owner(IDENTITY, 1), crc64)

    slot[4] = 9
    slot[56:64] = crc64(slot[:56]).to_bytes(8, "little")
    with pytest.raises(RecordDamage, match=UNKNOWN_SLOT_VERSION):
        decode_hard_state(slot, OWNER, crc64)


def test_no_node_has_the_number_of_nobody() -> None:
    with pytest.raises(AssertionError):
        encode_hard_state(STATE._replace(voted_for=NOBODY), OWNER, crc64)


def test_the_checksum_is_the_published_one() -> None:
    assert crc64(b"123456789") == plain_crc64(b"123456789") == 0xAE8B14860A799888
    assert crc64(b"") == plain_crc64(b"") == 0


@given(first=st.binary(max_size=200), second=st.binary(max_size=200))
def test_the_compiled_and_the_plain_checksum_agree(first: bytes, second: bytes) -> None:
    whole = crc64(first + second)

    assert plain_crc64(first + second) == whole
    assert plain_crc64(second, plain_crc64(first)) == whole
    assert crc64(memoryview(second), crc64(bytearray(first))) == whole
