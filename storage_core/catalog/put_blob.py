"""Put Blob as applying it needs it: read from the log without a look at its texts.

Problem: most entries are this command, each replica reads each of them, and most of the fields only
pass from the log to a row. Idea: find where the fields begin by their lengths alone. Clients
describe one blob like the next, so what stands in front of the name and behind the size is mostly
known already, by its bytes.

Invariant: what `decode` says of an entry, or that it is `Undecodable`, is what `codec` says.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple, Optional, Tuple

from storage_core.catalog import codec, keys, packing
from storage_core.catalog.commands import Conditions, PutBlob
from storage_core.catalog.packing import Undecodable

_KNOWN_MAX, _KNOWN_END_BYTES_MAX = 256, 256


class PackedPutBlob(NamedTuple):
    """Names as keys hold them, the description as rows do."""

    container_key: bytes
    name: bytes
    size_bytes: int
    described: bytes
    conditions: Conditions
    upload_id: bytes
    chunk_count: int
    crc64: Optional[int]


def pack(command: PutBlob) -> PackedPutBlob:
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
    return meta[:2] == codec.PUT_BLOB_HEAD


def decode(meta: bytes) -> PackedPutBlob:
    """As `pack(codec.decode(meta))`, with texts measured but not read."""
    length_at = packing.U16.unpack_from
    try:
        container_at = 4 + length_at(meta, 2)[0]
        blob_at = container_at + 2 + length_at(meta, container_at)[0]
        size_at = blob_at + 2 + length_at(meta, blob_at)[0]
        (size_bytes,) = packing.U64.unpack_from(meta, size_at)
    except struct.error as error:
        raise Undecodable("cut short within %d bytes" % len(meta)) from error
    end = meta[size_at + 8 :]
    take = _known_end if len(end) <= _KNOWN_END_BYTES_MAX else _end_of
    known_key = _container_key(meta[4:container_at], meta[container_at + 2 : blob_at])
    return PackedPutBlob(known_key, meta[blob_at + 2 : size_at], size_bytes, *take(end))


@lru_cache(maxsize=_KNOWN_MAX)
def _container_key(account: bytes, container: bytes) -> bytes:
    if b"\x00" in account or b"\x00" in container:
        raise Undecodable("a NUL in the name of an account or container")
    return keys.joined_container(account, container)


def _end_of(end: bytes) -> Tuple[bytes, Conditions, bytes, int, Optional[int]]:
    """What follows the size: description, conditions, upload, checksum."""
    at = packing.end_of_description(end, 0)
    described = end[:at]
    conditions, at = codec.CONDITIONS.take(end, at)
    upload_id, at = codec.UPLOAD_ID.take(end, at)
    chunk_count, at = codec.U32.take(end, at)
    crc64, at = codec.CRC64.take(end, at)
    if at != len(end):
        raise Undecodable("%d bytes after the command" % (len(end) - at))
    return described, conditions, upload_id, chunk_count, crc64


_known_end = lru_cache(maxsize=_KNOWN_MAX)(_end_of)
