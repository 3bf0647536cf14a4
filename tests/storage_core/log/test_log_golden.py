"""The bytes on disk are what the documents say, today and in ten years."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from storage_core.io.checksum import crc64
from storage_core.log.slots import (
    SLOT_BYTES,
    Owner,
    decode_hard_state,
    decode_meta,
    decode_watermark,
    encode_hard_state,
    encode_meta,
    encode_watermark,
    newest_slot,
)
from tests.storage_core.log.golden_values import (
    ENTRIES,
    HARD_STATES,
    METAS,
    SEGMENT_BYTES,
    WATERMARKS,
)
from tests.storage_core.log.samples import OWNER, Segments, entries_of, recovered, reopened, written

GOLDEN = Path(__file__).parent / "golden"
FORMATS = Path(__file__).parents[3] / "docs" / "formats"
SLOT_FILES = [
    ("hard-state", HARD_STATES, encode_hard_state, decode_hard_state),
    ("watermark", WATERMARKS, encode_watermark, decode_watermark),
    ("META", METAS, encode_meta, decode_meta),
]


def golden_segments() -> Segments:
    segments = Segments(SEGMENT_BYTES)
    for path in sorted(GOLDEN.glob("*.seg")):
        segments.files[int(path.stem, 16)] = bytearray(path.read_bytes())
    return segments


def test_entries_are_written_as_the_golden_segments() -> None:
    segments = Segments(SEGMENT_BYTES)

    written(ENTRIES, segments)

    assert segments.files == golden_segments().files


def test_golden_segments_are_read_as_the_entries() -> None:
    segments = golden_segments()

    found = recovered(segments, WATERMARKS[0])

    assert found.cut is None
    assert entries_of(reopened(segments, found)) == ENTRIES


@pytest.mark.parametrize("name,values,encode,decode", SLOT_FILES)
def test_slots_are_written_and_read_as_the_golden_files(
    name: str,
    values: list[object],
    encode: Callable[[object, Owner, object], bytes],
    decode: Callable[[object, Owner, object], object],
) -> None:
    golden = (GOLDEN / name).read_bytes()

    assert b"".join(encode(value, OWNER, crc64) for value in values) == golden
    slots = [golden[:SLOT_BYTES], golden[SLOT_BYTES:]]
    assert [decode(slot, OWNER, crc64) for slot in slots] == values


def test_the_newest_valid_slot_wins() -> None:
    golden = bytearray((GOLDEN / "hard-state").read_bytes())
    assert newest_slot(golden, decode_hard_state, OWNER, crc64) == (1, HARD_STATES[1])

    golden[SLOT_BYTES + 40] ^= 1

    assert newest_slot(golden, decode_hard_state, OWNER, crc64) == (0, HARD_STATES[0])


def shown_bytes(page: str, heading: str) -> bytes:
    """The bytes of the hex dump under a heading of a format page."""
    text = (FORMATS / page).read_text().split("## " + heading, 1)[1].split("```")[1]
    rows = re.findall(r"^([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)", text, re.MULTILINE)
    return b"".join(bytes.fromhex(row) for _, row in rows)


def test_the_pages_show_the_golden_bytes() -> None:
    segment = (GOLDEN / "0000000000000000.seg").read_bytes()
    shown = shown_bytes("log.md", "Worked example")
    assert len(shown) == 224
    assert segment[:224] == shown

    hard_state = (GOLDEN / "hard-state").read_bytes()
    assert hard_state[SLOT_BYTES : SLOT_BYTES + 64] == shown_bytes(
        "hard-state.md", "Worked example"
    )
