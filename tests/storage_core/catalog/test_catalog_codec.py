"""Commands and rows have the bytes that the format page promises, and refuse all others."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_core.catalog import blob_row, codec, extents, packing, put_blob, rows
from storage_core.catalog.blob_row import BlobRow
from storage_core.catalog.commands import (
    BLOCK_ID_BYTES_MAX,
    BlobProperties,
    BlockChoice,
    Command,
    Conditions,
    CreateContainer,
    Outcome,
    PutBlob,
    PutBlock,
    PutBlockList,
    Reap,
    etag_of,
)
from storage_core.catalog.packing import Undecodable
from storage_core.log.format import Extent, LogPoint, Position
from tests.storage_core.catalog.samples import (
    COMMANDS,
    EXTENT,
    METADATA,
    POLICIES,
    PROPERTIES,
    ROWS,
    UPLOAD,
)

GOLDEN = Path(__file__).parent / "golden"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6)
numbers = st.integers(0, 2**64 - 1)
pairs = st.lists(st.tuples(texts, texts), max_size=3).map(tuple)
tags = st.none() | st.lists(texts, max_size=3).map(tuple)
conditions = st.builds(Conditions, tags, tags, st.none() | numbers, st.none() | numbers)
properties = st.builds(BlobProperties, texts, texts, texts, st.binary(max_size=16), texts, texts)
upload_ids = st.sampled_from((b"", UPLOAD))
put_blobs = st.builds(
    PutBlob,
    names,
    names,
    texts,
    numbers,
    properties,
    pairs,
    conditions,
    upload_ids,
    st.integers(0, 2**32 - 1),
    st.none() | numbers,
)
choices = st.builds(BlockChoice, st.binary(max_size=BLOCK_ID_BYTES_MAX), st.integers(0, 2))
commands = st.one_of(
    put_blobs,
    st.builds(
        PutBlockList,
        names,
        names,
        texts,
        st.lists(choices, max_size=3).map(tuple),
        properties,
        pairs,
        conditions,
    ),
    st.sampled_from(COMMANDS),
)


def nothing(_: bytes) -> None:
    """The pages of a blob that has none."""


def golden(name: str) -> dict[str, bytes]:
    lines = (GOLDEN / name).read_text().splitlines()
    return {title: bytes.fromhex(digits) for title, digits in map(str.split, lines)}


def test_commands_have_their_golden_bytes() -> None:
    wanted = golden("commands.txt")

    found = {
        "%02d-%s" % (number, type(command).__name__): codec.encode(command)
        for number, command in enumerate(COMMANDS)
    }

    assert found == wanted
    assert [codec.decode(raw) for raw in wanted.values()] == list(COMMANDS)
    assert {type(command) for command in COMMANDS} == {shape.command for shape in codec.SHAPES}


def test_rows_have_their_golden_bytes() -> None:
    assert golden("rows.txt") == ROWS


def test_rows_give_back_what_was_put_in() -> None:
    container = rows.decode_container("box", ROWS["container"])
    blob = BlobRow(ROWS["blob"], nothing)
    upload = rows.decode_upload(ROWS["upload"])

    assert rows.decode_account("acct", ROWS["account"]).keys == (b"one", b"two")
    assert (container.metadata, container.public_access, container.policies) == (
        METADATA,
        "blob",
        POLICIES,
    )
    assert (container.etag, container.generation) == (etag_of(9), 4)
    assert rows.generation_of(ROWS["container"]) == 4
    assert (blob.extents, blob.properties, blob.metadata) == ((EXTENT,), PROPERTIES, METADATA)
    assert (blob.size, blob.crc64, blob.etag) == (262_144, 7, etag_of(9))
    assert [tuple(row) for row in blob_row.unpack_block_list(ROWS["block-list"])] == [
        (b"01", 262_144, 1),
        (b"02", 524_288, 2),
    ]
    assert rows.encode_stage(rows.decode_stage(ROWS["stage"])) == ROWS["stage"]
    assert rows.decode_staged_block(ROWS["staged-block"]).size == 262_144
    assert (upload.owner, upload.chunk_count) == (b"\x01\x00a0001", 1)
    assert rows.decode_operation(ROWS["operation"]) == Outcome(
        "", 9, 3, etag_of(9), 1_700_000_000_001, b"detail"
    )
    assert rows.decode_operation(ROWS["refused-operation"]).code == "BlobNotFound"
    assert rows.decode_applied(ROWS["applied"]) == LogPoint(
        9, 3, Position(3, 8192), 0xFEDCBA9876543210
    )


@given(commands)
def test_decoding_gives_back_the_command(command: Command) -> None:
    assert codec.decode(codec.encode(command)) == command


@given(put_blobs)
def test_the_short_way_to_a_put_blob_leads_to_the_same(command: PutBlob) -> None:
    meta = codec.encode(command)

    assert put_blob.is_put_blob(meta)
    assert put_blob.decode(meta) == put_blob.pack(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_cut_short_or_with_more_behind_is_refused(command: Command) -> None:
    meta = codec.encode(command)

    for raw in [*[meta[:length] for length in range(len(meta))], meta + b"\x00"]:
        with pytest.raises(Undecodable):
            codec.decode(raw)
        if put_blob.is_put_blob(raw):
            with pytest.raises(Undecodable):
                put_blob.decode(raw)


@given(st.sampled_from(COMMANDS), st.data())
def test_damage_is_refused_or_makes_another_whole_command(
    command: Command, data: st.DataObject
) -> None:
    raw = bytearray(codec.encode(command))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))

    try:
        other = codec.decode(bytes(raw))
    except Undecodable:
        return

    assert codec.encode(other) == bytes(raw)


@given(st.binary(max_size=40))
def test_junk_is_refused_or_is_a_command(raw: bytes) -> None:
    for head in (b"", b"\x01\x10", b"\x01\x12", b"\x01\x22"):
        try:
            command = codec.decode(head + raw)
        except Undecodable:
            continue
        assert codec.encode(command) == head + raw


@pytest.mark.parametrize(
    "command",
    [
        CreateContainer("a\x00", "b"),
        PutBlob("acct", "box", "a", -1),
        PutBlob("acct", "box", "a", 1, upload_id=b"short"),
        PutBlob("acct", "box", "a" * 65_536, 1),
        PutBlob("acct", "box", "a", 1, BlobProperties(cache_control="a" * 65_536)),
        PutBlob("acct", "box", "a", 1, metadata=(("k", "v"),) * 5000),
        PutBlock("acct", "box", "a", b"1" * 65, 1),
        Reap(2**32),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_logged(command: Command) -> None:
    with pytest.raises(Undecodable):
        codec.encode(command)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_row_of_another_version_is_refused(name: str) -> None:
    decoders = {
        "account": lambda raw: rows.decode_account("acct", raw),
        "account-limit": rows.decode_account_limit,
        "container": lambda raw: rows.decode_container("box", raw),
        "blob": lambda raw: BlobRow(raw, nothing),
        "block-list": blob_row.unpack_block_list,
        "stage": rows.decode_stage,
        "staged-block": rows.decode_staged_block,
        "upload": rows.decode_upload,
        "operation": rows.decode_operation,
        "refused-operation": rows.decode_operation,
        "applied": rows.decode_applied,
    }

    for raw in (b"", b"\x02" + ROWS[name][1:], ROWS[name][:1]):
        with pytest.raises(Undecodable):
            decoders[name](raw)


@given(
    body=st.builds(
        Extent,
        segment_seq=st.integers(0, 2**64 - 1),
        offset=st.integers(0, 2**32 - 1),
        length=st.integers(1, 2**32 - 1),
        crc=st.integers(0, 2**64 - 1),
    ),
    described=st.binary(max_size=40),
    crc64=st.integers(0, 2**64 - 1),
)
def test_the_short_way_to_a_row_of_one_body_leads_to_the_same(
    body: Extent, described: bytes, crc64: int
) -> None:
    row = blob_row.encode(
        etag_index=7,
        created_ms=8,
        last_modified_ms=9,
        size=body.length,
        layout_id=7,
        crc64=crc64,
        extent_count=1,
        block_count=0,
        described=described,
        tail=extents.pack(*body),
        is_paged=False,
    )

    assert blob_row.encode_one_body(7, 8, 9, body, crc64, described) == row
    assert blob_row.one_body_of(row) == (8, body.segment_seq, body.length)


@pytest.mark.parametrize(("extent_count", "block_count"), [(0, 0), (2, 0), (1, 1)])
def test_a_row_of_anything_else_is_not_taken_for_one_body(
    extent_count: int, block_count: int
) -> None:
    extent = Extent(1, 2, 3, 4)
    row = blob_row.encode(
        etag_index=7,
        created_ms=8,
        last_modified_ms=9,
        size=3 * extent_count,
        layout_id=7,
        crc64=None,
        extent_count=extent_count,
        block_count=block_count,
        described=b"",
        tail=extents.pack(*extent) * extent_count,
        is_paged=False,
    )

    assert blob_row.one_body_of(row) is None


def test_a_text_of_bytes_that_are_no_text_is_refused() -> None:
    with pytest.raises(Undecodable):
        packing.take_text(packing.pack_short(b"\xff"), 0)
