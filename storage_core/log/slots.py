"""Small facts that must survive a torn write: two slots, written in turn.

Problem: a vote, a watermark or a node's identity fits in a sector, yet overwriting it in place may
leave neither the old nor the new. Idea: two 4 KiB slots in one file; a write goes to the slot that
does not hold the newest value, and a reader takes the valid slot with the highest sequence.

What always holds: one of the slots is valid once the file exists, so finding none is damage and
never "nothing was written". A slot names its cluster, group and node: a copied directory is
refused. `docs/formats/hard-state.md` is the table.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from storage_core.log.format import (
    GENESIS,
    Buffer,
    Crc64,
    Identity,
    LogPoint,
    Position,
    RecordDamage,
)
from storage_core.raft.messages import HardState

SLOT_BYTES = 4096
SLOT_COUNT = 2
SLOT_VERSION = 1
HARD_STATE_MAGIC = b"HFHS"
WATERMARK_MAGIC = b"HFWM"
META_MAGIC = b"HFMT"
# In place of a node's number: no vote was given in this term.
NOBODY = 0xFFFFFFFF

# magic, version, 3 bytes of zeros, cluster, group, node, sequence
_HEAD = struct.Struct("<4sB3xQIIQ")
# term, commit index, voted for, 4 bytes of zeros
_HARD_STATE = struct.Struct("<QQI4x")
# index, term, segment, offset, 4 bytes of zeros, record checksum
_POINT = struct.Struct("<QQQI4xQ")
# segment bytes, 4 bytes of zeros, created
_META = struct.Struct("<I4xQ")
_CRC = struct.Struct("<Q")

NO_SLOT = "no slot of this kind"
BAD_SLOT = "slot fails its checksum"
FOREIGN_SLOT = "slot of another cluster, group or node"
UNKNOWN_SLOT_VERSION = "unknown slot version"

Value = TypeVar("Value")


class Owner(NamedTuple):
    """Whose slot this is."""

    identity: Identity
    node: int


class Watermark(NamedTuple):
    """What the log must still hold: everything after `start` up to `durable`.

    Only committed, flushed entries are covered, so that no truncate ever reaches below `durable`,
    and damage there can't be a torn write. `start` is where recovery begins to read.
    """

    sequence: int
    durable: LogPoint
    start: LogPoint


class Meta(NamedTuple):
    """What a node's directory is, fixed when it is made."""

    sequence: int
    segment_bytes: int
    created_ms: int


FIRST_WATERMARK = Watermark(sequence=0, durable=GENESIS, start=GENESIS)
FIRST_HARD_STATE = HardState(sequence=0, term=0, voted_for=None, commit_index=0)


def encode_hard_state(state: HardState, owner: Owner, crc64: Crc64) -> bytes:
    """One slot of 4 KiB."""
    voted_for = NOBODY if state.voted_for is None else state.voted_for
    assert state.voted_for != NOBODY, state
    fields = _HARD_STATE.pack(state.term, state.commit_index, voted_for)
    return _seal(HARD_STATE_MAGIC, owner, state.sequence, fields, crc64)


def decode_hard_state(slot: Buffer, owner: Owner, crc64: Crc64) -> HardState:
    """The state in a slot, or RecordDamage."""
    sequence, fields = _open(HARD_STATE_MAGIC, owner, slot, _HARD_STATE.size, crc64)
    term, commit_index, voted_for = _HARD_STATE.unpack(fields)
    return HardState(sequence, term, None if voted_for == NOBODY else voted_for, commit_index)


def encode_watermark(watermark: Watermark, owner: Owner, crc64: Crc64) -> bytes:
    """One slot of 4 KiB."""
    assert watermark.start.index <= watermark.durable.index, watermark
    fields = _pack_point(watermark.durable) + _pack_point(watermark.start)
    return _seal(WATERMARK_MAGIC, owner, watermark.sequence, fields, crc64)


def decode_watermark(slot: Buffer, owner: Owner, crc64: Crc64) -> Watermark:
    """The watermark in a slot, or RecordDamage."""
    sequence, fields = _open(WATERMARK_MAGIC, owner, slot, 2 * _POINT.size, crc64)
    durable = _unpack_point(fields[: _POINT.size])
    return Watermark(sequence, durable, _unpack_point(fields[_POINT.size :]))


def encode_meta(meta: Meta, owner: Owner, crc64: Crc64) -> bytes:
    """One slot of 4 KiB."""
    fields = _META.pack(meta.segment_bytes, meta.created_ms)
    return _seal(META_MAGIC, owner, meta.sequence, fields, crc64)


def decode_meta(slot: Buffer, owner: Owner, crc64: Crc64) -> Meta:
    """The meta in a slot, or RecordDamage."""
    sequence, fields = _open(META_MAGIC, owner, slot, _META.size, crc64)
    segment_bytes, created_ms = _META.unpack(fields)
    return Meta(sequence, segment_bytes, created_ms)


def newest_slot(
    file: Buffer,
    decode: Callable[[Buffer, Owner, Crc64], Value],
    owner: Owner,
    crc64: Crc64,
) -> tuple[int, Value]:
    """The slot number and value with the highest sequence; RecordDamage where none is valid."""
    best: tuple[int, int, Value] | None = None
    reasons: list[str] = []
    for number in range(SLOT_COUNT):
        slot = file[number * SLOT_BYTES : (number + 1) * SLOT_BYTES]
        try:
            value = decode(slot, owner, crc64)
        except RecordDamage as damage:
            reasons.append(damage.reason)
            continue
        sequence = _HEAD.unpack_from(slot)[5]
        if best is None or sequence > best[0]:
            best = (sequence, number, value)
    if best is None:
        raise RecordDamage("; ".join(reasons))
    return best[1], best[2]


def _seal(magic: bytes, owner: Owner, sequence: int, fields: bytes, crc64: Crc64) -> bytes:
    identity = owner.identity
    head = _HEAD.pack(
        magic, SLOT_VERSION, identity.cluster_id, identity.group_id, owner.node, sequence
    )
    covered = head + fields
    return (covered + _CRC.pack(crc64(covered, 0))).ljust(SLOT_BYTES, b"\0")


def _open(
    magic: bytes, owner: Owner, slot: Buffer, fields_bytes: int, crc64: Crc64
) -> tuple[int, bytes]:
    """The sequence and the fields of a valid slot."""
    covered_bytes = _HEAD.size + fields_bytes
    if len(slot) < covered_bytes + _CRC.size or slot[:4] != magic:
        raise RecordDamage(NO_SLOT)
    covered = bytes(slot[:covered_bytes])
    if crc64(covered, 0) != _CRC.unpack_from(slot, covered_bytes)[0]:
        raise RecordDamage(BAD_SLOT)
    _, version, cluster_id, group_id, node, sequence = _HEAD.unpack_from(covered)
    if version != SLOT_VERSION:
        raise RecordDamage(UNKNOWN_SLOT_VERSION)
    if (Identity(cluster_id, group_id), node) != owner:
        raise RecordDamage(FOREIGN_SLOT)
    return sequence, covered[_HEAD.size :]


def _pack_point(point: LogPoint) -> bytes:
    segment_seq, offset = point.position
    return _POINT.pack(point.index, point.term, segment_seq, offset, point.record_crc)


def _unpack_point(fields: bytes) -> LogPoint:
    index, term, segment_seq, offset, record_crc = _POINT.unpack(fields)
    return LogPoint(index, term, Position(segment_seq, offset), record_crc)
