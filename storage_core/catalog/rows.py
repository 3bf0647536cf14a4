"""The smaller rows as values and as bytes. `docs/formats/catalog.md` is the table.

Each row starts with a version byte. A row of another version, or one too short, is `Undecodable`:
the index was written by something else, and guessing would serve somebody wrong data.

`BlobRow` has a module of its own because it is decoded lazily; it is offered here as well.
"""

from __future__ import annotations

import struct
from typing import List, NamedTuple, Tuple

from storage_core.catalog import packing
from storage_core.catalog.blob_row import BlobRow, Block
from storage_core.catalog.commands import AccessPolicy, Metadata, Outcome, etag_of
from storage_core.catalog.packing import Undecodable
from storage_core.log.format import LogPoint, Position

__all__ = [
    "AccountRow",
    "BlobRow",
    "Block",
    "ContainerRow",
    "StageRow",
    "StagedBlock",
    "UploadRow",
]

VERSION = 1
_ACCOUNT = struct.Struct("<BQQH")
_ACCOUNT_LIMIT = struct.Struct("<BI")
_CONTAINER = struct.Struct("<BQQQQ")
_STAGE = struct.Struct("<BQQQQIB")
_STAGED_BLOCK = struct.Struct("<BQ")
_UPLOAD = struct.Struct("<BQQQQQI")
_OPERATION = struct.Struct("<B16sQQQBBH")
_APPLIED = struct.Struct("<BQQQIQ")


class AccountRow(NamedTuple):
    """`keys` are the decoded shared keys."""

    name: str
    etag: str
    created_ms: int
    keys: Tuple[bytes, ...]


class ContainerRow(NamedTuple):
    """`generation` is the index of the entry that created it; its blobs are keyed by it."""

    name: str
    etag_index: int
    created_ms: int
    last_modified_ms: int
    metadata: Metadata
    public_access: str
    policies: Tuple[AccessPolicy, ...]
    generation: int

    @property
    def etag(self) -> str:
        """Quoted."""
        return etag_of(self.etag_index)


class StageRow(NamedTuple):
    """The uncommitted blocks of one blob, taken together.

    (`timer_ms`, `stage_id`) is its row among the timers; `touched_ms` is when a block last came.
    """

    stage_id: int
    timer_ms: int
    touched_ms: int
    size: int
    block_count: int
    id_bytes: int


class StagedBlock(NamedTuple):
    """One uncommitted block: `size` in bytes, its extents packed."""

    size: int
    packed: bytes


class UploadRow(NamedTuple):
    """Chunks that came so far. `owner` says for what: generation, blob name and block id."""

    timer_index: int
    timer_ms: int
    touched_ms: int
    size: int
    generation: int
    chunk_count: int
    owner: bytes


def _checked(raw: bytes, shape: struct.Struct, what: str) -> bytes:
    if len(raw) < shape.size or raw[0] != VERSION:
        raise Undecodable("%s row of %d bytes, version %r" % (what, len(raw), raw[:1]))
    return raw


def encode_account(index: int, created_ms: int, keys: Tuple[bytes, ...]) -> bytes:
    head = _ACCOUNT.pack(VERSION, index, created_ms, len(keys))
    return head + b"".join(map(packing.pack_short, keys))


def decode_account(name: str, raw: bytes) -> AccountRow:
    _, index, created_ms, count = _ACCOUNT.unpack_from(_checked(raw, _ACCOUNT, "account"))
    at = _ACCOUNT.size
    keys: List[bytes] = []
    for _ in range(count):
        key, at = packing.take_short(raw, at)
        keys.append(key)
    return AccountRow(name, etag_of(index), created_ms, tuple(keys))


def encode_account_limit(requests_per_ks: int) -> bytes:
    return _ACCOUNT_LIMIT.pack(VERSION, requests_per_ks)


def decode_account_limit(raw: bytes) -> int:
    return int(_ACCOUNT_LIMIT.unpack_from(_checked(raw, _ACCOUNT_LIMIT, "account limit"))[1])


def encode_container(row: ContainerRow) -> bytes:
    parts = [
        _CONTAINER.pack(
            VERSION, row.etag_index, row.created_ms, row.last_modified_ms, row.generation
        ),
        packing.pack_metadata(row.metadata),
        packing.pack_text(row.public_access),
        pack_policies(row.policies),
    ]
    return b"".join(parts)


def decode_container(name: str, raw: bytes) -> ContainerRow:
    _checked(raw, _CONTAINER, "container")
    _, etag_index, created_ms, last_modified_ms, generation = _CONTAINER.unpack_from(raw)
    metadata, at = packing.take_metadata(raw, _CONTAINER.size)
    public_access, at = packing.take_text(raw, at)
    policies, at = take_policies(raw, at)
    return ContainerRow(
        name,
        etag_index,
        created_ms,
        last_modified_ms,
        metadata,
        public_access,
        policies,
        generation,
    )


def generation_of(raw: bytes) -> int:
    """A container's generation, without decoding the rest of its row."""
    return int(_CONTAINER.unpack_from(_checked(raw, _CONTAINER, "container"))[4])


def pack_policies(policies: Tuple[AccessPolicy, ...]) -> bytes:
    texts = [packing.pack_text(text) for policy in policies for text in policy]
    return packing.U16.pack(len(policies)) + b"".join(texts)


def take_policies(raw: bytes, at: int) -> Tuple[Tuple[AccessPolicy, ...], int]:
    count, at = packing.take_u16(raw, at)
    policies: List[AccessPolicy] = []
    for _ in range(count):
        identifier, at = packing.take_text(raw, at)
        start, at = packing.take_text(raw, at)
        expiry, at = packing.take_text(raw, at)
        permission, at = packing.take_text(raw, at)
        policies.append(AccessPolicy(identifier, start, expiry, permission))
    return tuple(policies), at


def encode_stage(row: StageRow) -> bytes:
    return _STAGE.pack(VERSION, *row)


def decode_stage(raw: bytes) -> StageRow:
    return StageRow._make(_STAGE.unpack_from(_checked(raw, _STAGE, "stage"))[1:])


def encode_staged_block(row: StagedBlock) -> bytes:
    return _STAGED_BLOCK.pack(VERSION, row.size) + row.packed


def decode_staged_block(raw: bytes) -> StagedBlock:
    size = _STAGED_BLOCK.unpack_from(_checked(raw, _STAGED_BLOCK, "staged block"))[1]
    return StagedBlock(size, raw[_STAGED_BLOCK.size :])


def encode_upload(row: UploadRow) -> bytes:
    return _UPLOAD.pack(VERSION, *row[:6]) + row.owner


def decode_upload(raw: bytes) -> UploadRow:
    fields = _UPLOAD.unpack_from(_checked(raw, _UPLOAD, "upload"))
    return UploadRow._make((*fields[1:], raw[_UPLOAD.size :]))


def encode_operation(op_id: bytes, outcome: Outcome) -> bytes:
    code, index, term, etag, last_modified_ms, detail = outcome
    head = _OPERATION.pack(
        VERSION, op_id, index, term, last_modified_ms, len(code), len(etag), len(detail)
    )
    return head + (code + etag).encode("ascii") + detail


def op_id_of(raw: bytes) -> bytes:
    return _checked(raw, _OPERATION, "operation")[1:17]


def decode_operation(raw: bytes) -> Outcome:
    _, _, index, term, last_modified_ms, code_bytes, etag_bytes, detail_bytes = (
        _OPERATION.unpack_from(_checked(raw, _OPERATION, "operation"))
    )
    etag_at = _OPERATION.size + code_bytes
    detail_at = etag_at + etag_bytes
    return Outcome(
        raw[_OPERATION.size : etag_at].decode("ascii"),
        index,
        term,
        raw[etag_at:detail_at].decode("ascii"),
        last_modified_ms,
        raw[detail_at : detail_at + detail_bytes],
    )


def encode_applied(point: LogPoint) -> bytes:
    position = point.position
    return _APPLIED.pack(
        VERSION, point.index, point.term, position.segment_seq, position.offset, point.record_crc
    )


def decode_applied(raw: bytes) -> LogPoint:
    _, index, term, segment_seq, offset, crc = _APPLIED.unpack_from(
        _checked(raw, _APPLIED, "applied")
    )
    return LogPoint(index, term, Position(segment_seq, offset), crc)
