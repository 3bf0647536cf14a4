"""The few shapes that rows and commands are made of: short texts, properties, metadata.

Problem: one command and a handful of rows are packed and unpacked for every write, on the path
that every client waits for. Idea: lengths first, then the bytes, little-endian, nothing padded;
a reader checks each length against what is there and refuses the rest as `Undecodable`.

Invariant: `take_x(buffer, at)` returns what `pack_x` wrote and the place just after it.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import List, Tuple

from storage_core.catalog.commands import METADATA_COUNT_MAX, BlobProperties, Metadata
from storage_core.errors import StoreError

U16 = struct.Struct("<H")
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")

_PROPERTY_LENGTHS = struct.Struct("<6H")
_NO_METADATA = U16.pack(0)
SHORT_BYTES_MAX = 0xFFFF


class Undecodable(StoreError):
    """Bytes that nobody of ours wrote, or a later version did. A node that meets one stops."""


def pack_short(value: bytes) -> bytes:
    """A length of two bytes and the value."""
    if len(value) > SHORT_BYTES_MAX:
        raise Undecodable("a field of %d bytes; the limit is %d" % (len(value), SHORT_BYTES_MAX))
    return U16.pack(len(value)) + value


def pack_text(value: str) -> bytes:
    return pack_short(value.encode("utf-8"))


def take_short(buffer: bytes, at: int) -> Tuple[bytes, int]:
    start = at + 2
    if start > len(buffer):
        raise Undecodable("cut short at byte %d" % at)
    end = start + U16.unpack_from(buffer, at)[0]
    if end > len(buffer):
        raise Undecodable("cut short at byte %d" % at)
    return buffer[start:end], end


def take_text(buffer: bytes, at: int) -> Tuple[str, int]:
    value, end = take_short(buffer, at)
    return text_of(value, at), end


def text_of(value: bytes, at: int) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Undecodable("no UTF-8 at byte %d" % at) from error


@lru_cache(maxsize=256)
def pack_properties(properties: BlobProperties) -> bytes:
    """Kept, since a client's blobs mostly have the same."""
    content_type, encoding, language, md5, cache_control, disposition = properties
    values = (
        content_type.encode("utf-8"),
        encoding.encode("utf-8"),
        language.encode("utf-8"),
        md5,
        cache_control.encode("utf-8"),
        disposition.encode("utf-8"),
    )
    try:
        lengths = _PROPERTY_LENGTHS.pack(*map(len, values))
    except struct.error as error:
        raise Undecodable("a property exceeds %d bytes" % SHORT_BYTES_MAX) from error
    return lengths + b"".join(values)


def take_properties(buffer: bytes, at: int) -> Tuple[BlobProperties, int]:
    start = at + _PROPERTY_LENGTHS.size
    if start > len(buffer):
        raise Undecodable("cut short at byte %d" % at)
    a, b, c, d, e, f = _PROPERTY_LENGTHS.unpack_from(buffer, at)
    encoding = start + a
    language = encoding + b
    md5 = language + c
    cache_control = md5 + d
    disposition = cache_control + e
    end = disposition + f
    if end > len(buffer):
        raise Undecodable("cut short at byte %d" % at)
    try:
        properties = BlobProperties(
            buffer[start:encoding].decode("utf-8"),
            buffer[encoding:language].decode("utf-8") if b else "",
            buffer[language:md5].decode("utf-8") if c else "",
            buffer[md5:cache_control] if d else b"",
            buffer[cache_control:disposition].decode("utf-8") if e else "",
            buffer[disposition:end].decode("utf-8") if f else "",
        )
    except UnicodeDecodeError as error:
        raise Undecodable("no UTF-8 in properties at byte %d" % at) from error
    return properties, end


def end_of_description(buffer: bytes, at: int) -> int:
    """The place after properties and metadata, both only measured."""
    start = at + _PROPERTY_LENGTHS.size
    if start > len(buffer):
        raise Undecodable("cut short at byte %d" % at)
    count, at = take_u16(buffer, start + sum(_PROPERTY_LENGTHS.unpack_from(buffer, at)))
    for _ in range(2 * count):
        length, at = take_u16(buffer, at)
        at += length
    if at > len(buffer):
        raise Undecodable("cut short at byte %d" % len(buffer))
    return at


def pack_metadata(metadata: Metadata) -> bytes:
    if not metadata:
        return _NO_METADATA
    if len(metadata) > METADATA_COUNT_MAX:
        raise Undecodable(
            "%d metadata pairs; the limit is %d" % (len(metadata), METADATA_COUNT_MAX)
        )
    parts: List[bytes] = [U16.pack(len(metadata))]
    for name, value in metadata:
        parts.append(pack_text(name))
        parts.append(pack_text(value))
    return b"".join(parts)


def take_metadata(buffer: bytes, at: int) -> Tuple[Metadata, int]:
    count, at = take_u16(buffer, at)
    if not count:
        return (), at
    pairs: List[Tuple[str, str]] = []
    for _ in range(count):
        name, at = take_text(buffer, at)
        value, at = take_text(buffer, at)
        pairs.append((name, value))
    return tuple(pairs), at


def take_u16(buffer: bytes, at: int) -> Tuple[int, int]:
    if at + 2 > len(buffer):
        raise Undecodable("cut short at byte %d" % at)
    return int(U16.unpack_from(buffer, at)[0]), at + 2
