"""Extents at rest: 24 bytes each, kept packed as long as nobody needs to look.

Problem: a large blob has tens of thousands of extents, and joining its blocks into a list, moving
one body or answering a range must not make an object of each. Idea: work on the packed bytes;
join them as bytes, find one by searching for its 24 bytes, unpack only what a range touches.

Invariant: a packed run is a multiple of 24 bytes, and no extent in it is empty.
"""

from __future__ import annotations

import struct
from typing import Dict, List, NamedTuple, Tuple

from storage_core.log.format import Extent

_EXTENT = struct.Struct("<QIIQ")
EXTENT_BYTES = _EXTENT.size
assert EXTENT_BYTES == 24, EXTENT_BYTES
_LENGTH = struct.Struct("<12xI8x")
assert _LENGTH.size == EXTENT_BYTES, _LENGTH.size

pack = _EXTENT.pack
unpack_from = _EXTENT.unpack_from


class Piece(NamedTuple):
    """`length` bytes from `skip` on within the body at `extent`."""

    extent: Extent
    skip: int
    length: int


def count(packed: bytes) -> int:
    assert len(packed) % EXTENT_BYTES == 0, len(packed)
    return len(packed) // EXTENT_BYTES


def unpack(packed: bytes) -> Tuple[Extent, ...]:
    if len(packed) == EXTENT_BYTES:
        return (Extent._make(_EXTENT.unpack(packed)),)
    return tuple(map(Extent._make, _EXTENT.iter_unpack(packed)))


def size_bytes(packed: bytes) -> int:
    return sum([length for _, _, length, _ in _EXTENT.iter_unpack(packed)])


def tally(live: Dict[int, int], packed: bytes, sign: int) -> None:
    """Add the bytes of a packed run, times `sign`, to what is live in each segment."""
    for segment_seq, _, length, _ in _EXTENT.iter_unpack(packed):
        live[segment_seq] = live.get(segment_seq, 0) + sign * length


def occurrences(packed: bytes, wanted: bytes) -> List[int]:
    """Byte offsets in `packed` at which the packed extent `wanted` stands."""
    found: List[int] = []
    at = packed.find(wanted)
    while at >= 0:
        if at % EXTENT_BYTES == 0:
            found.append(at)
            at = packed.find(wanted, at + EXTENT_BYTES)
        else:
            at = packed.find(wanted, at + 1)
    return found


def replaced(packed: bytes, places: List[int], new: bytes) -> bytes:
    changed = bytearray(packed)
    for at in places:
        changed[at : at + EXTENT_BYTES] = new
    return bytes(changed)


def pieces(packed: bytes, skip: int, length: int) -> Tuple[List[Piece], int]:
    """What covers `length` bytes from `skip` on in this run, and how many bytes are still due."""
    found: List[Piece] = []
    at = 0
    # Only lengths until the first extent that is wanted: it may be the 2,000th.
    for (extent_length,) in _LENGTH.iter_unpack(packed):
        if skip < extent_length:
            break
        skip -= extent_length
        at += EXTENT_BYTES
    while length and at < len(packed):
        extent = Extent._make(_EXTENT.unpack_from(packed, at))
        taken = min(length, extent.length - skip)
        found.append(Piece(extent, skip, taken))
        length -= taken
        at += EXTENT_BYTES
        skip = 0
    return found, length
