"""Commands as bytes: what stands in the log as an entry's meta.

Problem: these bytes are the one description of every change ever made, read again by each replica
and at each recovery, and every write pays for packing and unpacking them. Idea: a version byte, a
type byte, then the command's fields in their order, each in the form that the table `SHAPES`
names. To read a command's layout, read its line there.

Invariant: `decode(encode(command)) == command`; and whatever else `decode` is given, it answers
with a command that encodes to the same bytes, or with `Undecodable`, never with half of one.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Type, cast

from storage_core.catalog import keys, packing, rows
from storage_core.catalog.commands import (
    BLOCK_ID_BYTES_MAX,
    UNCONDITIONAL,
    UPLOAD_ID_BYTES,
    AbortUpload,
    BlockChoice,
    Chunk,
    Command,
    Conditions,
    CreateAccount,
    CreateContainer,
    DeleteBlob,
    DeleteContainer,
    ExpireUploads,
    Move,
    PutBlob,
    PutBlock,
    PutBlockList,
    Reap,
    SetAccountLimit,
    SetBlobMetadata,
    SetBlobProperties,
    SetContainerAccess,
    SetContainerMetadata,
)
from storage_core.catalog.packing import Undecodable
from storage_core.log.format import Extent

VERSION = 1
PUT_BLOB = 16
_PUT_BLOB_HEAD = bytes((VERSION, PUT_BLOB))

_IF_MATCH = 1
_IF_NONE_MATCH = 2
_IF_MODIFIED_SINCE = 4
_IF_UNMODIFIED_SINCE = 8
_CONDITIONS_MASK = 15

_EXTENT = struct.Struct("<QIIQ")
_SOURCE_MAX = 2

# Clients describe one blob like the next: what stands behind a Put Blob's size is mostly known.
_KNOWN_MAX, _KNOWN_END_BYTES_MAX = 256, 256


class Form(NamedTuple):
    """How a field is written, and how it is read: buffer, place -> value, place after it."""

    pack: Callable[[Any], bytes]
    take: Callable[[bytes, int], Tuple[Any, int]]


def _number(shape: struct.Struct) -> Form:
    size = shape.size

    def pack(value: int) -> bytes:
        try:
            return shape.pack(value)
        except struct.error as error:
            raise Undecodable("%r does not fit %d bytes" % (value, size)) from error

    def take(raw: bytes, at: int) -> Tuple[int, int]:
        end = at + size
        if end > len(raw):
            raise Undecodable("cut short at byte %d" % at)
        return shape.unpack_from(raw, at)[0], end

    return Form(pack, take)


def _items(item: Form) -> Form:
    """A count of two bytes, then the items."""

    def pack(values: Tuple[Any, ...]) -> bytes:
        return packing.U16.pack(len(values)) + b"".join(map(item.pack, values))

    def take(raw: bytes, at: int) -> Tuple[Tuple[Any, ...], int]:
        count, at = packing.take_u16(raw, at)
        values: List[Any] = []
        for _ in range(count):
            value, at = item.take(raw, at)
            values.append(value)
        return tuple(values), at

    return Form(pack, take)


def _byte(raw: bytes, at: int) -> int:
    if at >= len(raw):
        raise Undecodable("cut short at byte %d" % at)
    return raw[at]


def _pack_name(value: str) -> bytes:
    """Of an account or container: a NUL joins the two in a key, so neither may hold one."""
    if "\x00" in value:
        raise Undecodable("a NUL in the name of an account or container")
    return packing.pack_text(value)


def _take_name(raw: bytes, at: int) -> Tuple[str, int]:
    name, end = packing.take_text(raw, at)
    if "\x00" in name:
        raise Undecodable("a NUL in the name of an account or container")
    return name, end


def _pack_id(value: bytes) -> bytes:
    if len(value) > BLOCK_ID_BYTES_MAX:
        raise Undecodable("an id of %d bytes; the limit is %d" % (len(value), BLOCK_ID_BYTES_MAX))
    return b"%c%b" % (len(value), value)


def _take_id(raw: bytes, at: int) -> Tuple[bytes, int]:
    length = _byte(raw, at)
    start = at + 1
    if not length:
        return b"", start
    end = start + length
    if length > BLOCK_ID_BYTES_MAX or end > len(raw):
        raise Undecodable("an id of %d bytes at byte %d" % (length, at))
    return raw[start:end], end


def _pack_upload_id(value: bytes) -> bytes:
    if len(value) not in (0, UPLOAD_ID_BYTES):
        raise Undecodable("an upload id of %d bytes" % len(value))
    return _pack_id(value)


def _take_upload_id(raw: bytes, at: int) -> Tuple[bytes, int]:
    value, end = _take_id(raw, at)
    if len(value) not in (0, UPLOAD_ID_BYTES):
        raise Undecodable("an upload id of %d bytes" % len(value))
    return value, end


def _pack_crc64(value: Optional[int]) -> bytes:
    return b"\x00" if value is None else b"\x01" + U64.pack(value)


def _take_crc64(raw: bytes, at: int) -> Tuple[Optional[int], int]:
    flag = _byte(raw, at)
    if flag > 1:
        raise Undecodable("checksum flag %d" % flag)
    return U64.take(raw, at + 1) if flag else (None, at + 1)


def _pack_conditions(conditions: Conditions) -> bytes:
    if conditions == UNCONDITIONAL:
        return b"\x00"
    flags = 0
    parts = [b""]
    for bit, form, value in zip(
        (_IF_MATCH, _IF_NONE_MATCH, _IF_MODIFIED_SINCE, _IF_UNMODIFIED_SINCE),
        (_TAGS, _TAGS, U64, U64),
        conditions,
    ):
        if value is not None:
            flags |= bit
            parts.append(form.pack(value))
    parts[0] = bytes((flags,))
    return b"".join(parts)


def _take_conditions(raw: bytes, at: int) -> Tuple[Conditions, int]:
    flags = _byte(raw, at)
    at += 1
    if not flags:
        return UNCONDITIONAL, at
    if flags > _CONDITIONS_MASK:
        raise Undecodable("condition flags %d" % flags)
    if_match = if_none_match = modified = unmodified = None
    if flags & _IF_MATCH:
        if_match, at = _TAGS.take(raw, at)
    if flags & _IF_NONE_MATCH:
        if_none_match, at = _TAGS.take(raw, at)
    if flags & _IF_MODIFIED_SINCE:
        modified, at = U64.take(raw, at)
    if flags & _IF_UNMODIFIED_SINCE:
        unmodified, at = U64.take(raw, at)
    return Conditions(if_match, if_none_match, modified, unmodified), at


def _pack_choices(choices: Tuple[BlockChoice, ...]) -> bytes:
    parts = [U32.pack(len(choices))]
    parts += [bytes((choice.source,)) + _pack_id(choice.block_id) for choice in choices]
    return b"".join(parts)


def _take_choices(raw: bytes, at: int) -> Tuple[Tuple[BlockChoice, ...], int]:
    count, at = U32.take(raw, at)
    choices: List[BlockChoice] = []
    for _ in range(count):
        source = _byte(raw, at)
        if source > _SOURCE_MAX:
            raise Undecodable("block source %d" % source)
        block_id, at = _take_id(raw, at + 1)
        choices.append(BlockChoice(block_id, source))
    return tuple(choices), at


def _pack_extent(extent: Extent) -> bytes:
    return _EXTENT.pack(*extent)


def _take_extent(raw: bytes, at: int) -> Tuple[Extent, int]:
    end = at + _EXTENT.size
    if end > len(raw):
        raise Undecodable("cut short at byte %d" % at)
    return Extent._make(_EXTENT.unpack_from(raw, at)), end


U32 = _number(packing.U32)
U64 = _number(packing.U64)
TEXT = Form(packing.pack_text, packing.take_text)
NAME = Form(_pack_name, _take_name)
BLOCK_ID = Form(_pack_id, _take_id)
UPLOAD_ID = Form(_pack_upload_id, _take_upload_id)
CRC64 = Form(_pack_crc64, _take_crc64)
KEYS = _items(Form(packing.pack_short, packing.take_short))
METADATA = Form(packing.pack_metadata, packing.take_metadata)
PROPERTIES = Form(packing.pack_properties, packing.take_properties)
POLICIES = Form(rows.pack_policies, rows.take_policies)
_TAGS = _items(TEXT)
CONDITIONS = Form(_pack_conditions, _take_conditions)
CHOICES = Form(_pack_choices, _take_choices)
EXTENT = Form(_pack_extent, _take_extent)


class Shape(NamedTuple):
    """`number` is the type byte; a landed one never gets another meaning."""

    number: int
    command: Type[Any]
    forms: Tuple[Form, ...]


_CONTAINER = (NAME, NAME)
_BLOB = (NAME, NAME, TEXT)

SHAPES = (
    Shape(1, CreateAccount, (NAME, KEYS)),
    Shape(2, CreateContainer, (*_CONTAINER, METADATA, TEXT)),
    Shape(3, DeleteContainer, (*_CONTAINER, CONDITIONS)),
    Shape(4, SetContainerMetadata, (*_CONTAINER, METADATA, CONDITIONS)),
    Shape(5, SetContainerAccess, (*_CONTAINER, TEXT, POLICIES, CONDITIONS)),
    Shape(6, SetAccountLimit, (NAME, U32)),
    Shape(
        PUT_BLOB, PutBlob, (*_BLOB, U64, PROPERTIES, METADATA, CONDITIONS, UPLOAD_ID, U32, CRC64)
    ),
    Shape(17, PutBlock, (*_BLOB, BLOCK_ID, U64, UPLOAD_ID, U32)),
    Shape(18, PutBlockList, (*_BLOB, CHOICES, PROPERTIES, METADATA, CONDITIONS)),
    Shape(19, DeleteBlob, (*_BLOB, CONDITIONS)),
    Shape(20, SetBlobMetadata, (*_BLOB, METADATA, CONDITIONS)),
    Shape(21, SetBlobProperties, (*_BLOB, PROPERTIES, CONDITIONS)),
    Shape(32, Chunk, (UPLOAD_ID, U32, *_BLOB, BLOCK_ID)),
    Shape(33, AbortUpload, (UPLOAD_ID,)),
    Shape(34, Move, (*_BLOB, BLOCK_ID, UPLOAD_ID, EXTENT)),
    Shape(35, ExpireUploads, (U64, U64)),
    Shape(36, Reap, (U32,)),
)

_BY_COMMAND: Dict[Type[Any], Tuple[bytes, Tuple[Callable[[Any], bytes], ...]]] = {
    shape.command: (bytes((VERSION, shape.number)), tuple([form.pack for form in shape.forms]))
    for shape in SHAPES
}
_BY_NUMBER = {
    shape.number: (shape.command._make, tuple([form.take for form in shape.forms]))
    for shape in SHAPES
}


def encode(command: Command) -> bytes:
    if type(command) is PutBlob:
        return _encode_put_blob(command)
    head, packs = _BY_COMMAND[type(command)]
    assert len(packs) == len(command), command
    parts = [head]
    parts += [pack(value) for pack, value in zip(packs, command)]
    return b"".join(parts)


def _encode_put_blob(command: PutBlob) -> bytes:
    """As the table says, with what most blobs have in common packed once."""
    parts = (
        _put_blob_start(command.account, command.container),
        packing.pack_text(command.blob),
        U64.pack(command.size_bytes),
        packing.pack_properties(command.properties),
        packing.pack_metadata(command.metadata),
        _pack_conditions(command.conditions),
        _pack_upload_id(command.upload_id),
        U32.pack(command.chunk_count),
        _pack_crc64(command.crc64),
    )
    return b"".join(parts)


@lru_cache(maxsize=_KNOWN_MAX)
def _put_blob_start(account: str, container: str) -> bytes:
    return _PUT_BLOB_HEAD + _pack_name(account) + _pack_name(container)


def decode(meta: bytes) -> Command:
    """The command, or `Undecodable` saying what is wrong and where."""
    if len(meta) < 2 or meta[0] != VERSION:
        raise Undecodable("command of %d bytes, version %r" % (len(meta), meta[:1]))
    known = _BY_NUMBER.get(meta[1])
    if known is None:
        raise Undecodable("command type %d" % meta[1])
    make, takes = known
    at = 2
    values: List[Any] = []
    for take in takes:
        value, at = take(meta, at)
        values.append(value)
    if at != len(meta):
        raise Undecodable("%d bytes after the command" % (len(meta) - at))
    return cast("Command", make(values))


class PackedPutBlob(NamedTuple):
    """A Put Blob as applying it needs it: names as keys hold them, the description as rows do.

    Most entries are this command, and most of its fields only pass from the log to a row.
    """

    container_key: bytes
    name: bytes
    size_bytes: int
    described: bytes
    conditions: Conditions
    upload_id: bytes
    chunk_count: int
    crc64: Optional[int]


def pack_put_blob(command: PutBlob) -> PackedPutBlob:
    return PackedPutBlob(
        keys.container(command.account, command.container),
        command.blob.encode("utf-8"),
        command.size_bytes,
        packing.pack_properties(command.properties) + packing.pack_metadata(command.metadata),
        command.conditions,
        command.upload_id,
        command.chunk_count,
        command.crc64,
    )


def is_put_blob(meta: bytes) -> bool:
    return meta[:2] == _PUT_BLOB_HEAD


def decode_put_blob(meta: bytes) -> PackedPutBlob:
    """As `pack_put_blob(decode(meta))`, with texts measured but not read."""
    account, at = packing.take_short(meta, 2)
    container, at = packing.take_short(meta, at)
    if b"\x00" in account or b"\x00" in container:
        raise Undecodable("a NUL in the name of an account or container")
    name, at = packing.take_short(meta, at)
    size_bytes, start = U64.take(meta, at)
    end = meta[start:]
    take = _known_end if len(end) <= _KNOWN_END_BYTES_MAX else _end_of_put_blob
    return PackedPutBlob(keys.joined_container(account, container), name, size_bytes, *take(end))


def _end_of_put_blob(end: bytes) -> Tuple[bytes, Conditions, bytes, int, Optional[int]]:
    """What follows the size: description, conditions, upload, checksum."""
    at = packing.end_of_description(end, 0)
    described = end[:at]
    conditions, at = _take_conditions(end, at)
    upload_id, at = _take_upload_id(end, at)
    chunk_count, at = U32.take(end, at)
    crc64, at = _take_crc64(end, at)
    if at != len(end):
        raise Undecodable("%d bytes after the command" % (len(end) - at))
    return described, conditions, upload_id, chunk_count, crc64


_known_end = lru_cache(maxsize=_KNOWN_MAX)(_end_of_put_blob)
