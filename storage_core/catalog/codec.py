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

from storage_core.catalog import packing, rows
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
    Metadata,
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
PUT_BLOB_HEAD = bytes((VERSION, PUT_BLOB))

_IF_MATCH = 1
_IF_NONE_MATCH = 2
_IF_MODIFIED_SINCE = 4
_IF_UNMODIFIED_SINCE = 8
_CONDITIONS_MASK = 15

_EXTENT = struct.Struct("<QIIQ")
_SOURCE_MAX = 2

# Containers in use at one time.
_KNOWN_MAX = 256


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
    name, rest = command.blob.encode("utf-8"), command[5:]
    if len(name) > packing.SHORT_BYTES_MAX:
        raise Undecodable("a name of %d bytes" % len(name))
    return b"%b%b%b%b%b%b" % (
        _put_blob_start(command.account, command.container),
        packing.U16.pack(len(name)),
        name,
        U64.pack(command.size_bytes),
        packing.pack_properties(command.properties),
        _PLAIN_END if rest == _PLAIN_REST else _pack_end(*rest),
    )


def _pack_end(
    metadata: Metadata,
    conditions: Conditions,
    upload_id: bytes,
    chunk_count: int,
    crc64: Optional[int],
) -> bytes:
    parts = (
        packing.pack_metadata(metadata),
        _pack_conditions(conditions),
        _pack_upload_id(upload_id),
        U32.pack(chunk_count),
        _pack_crc64(crc64),
    )
    return b"".join(parts)


_PLAIN_REST = ((), UNCONDITIONAL, b"", 0, None)
_PLAIN_END = _pack_end((), UNCONDITIONAL, b"", 0, None)


@lru_cache(maxsize=_KNOWN_MAX)
def _put_blob_start(account: str, container: str) -> bytes:
    return PUT_BLOB_HEAD + _pack_name(account) + _pack_name(container)


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
