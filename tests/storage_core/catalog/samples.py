"""One command of each kind, and one row of each, with every field set: what golden bytes show."""

from __future__ import annotations

from storage_core.catalog import blob_row, extents, packing, rows
from storage_core.catalog.blob_row import ListedBlock
from storage_core.catalog.commands import (
    AbortUpload,
    AccessPolicy,
    BlobProperties,
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
    Outcome,
    PutBlob,
    PutBlock,
    PutBlockList,
    Reap,
    SetAccountLimit,
    SetBlobMetadata,
    SetBlobProperties,
    SetContainerAccess,
    SetContainerMetadata,
    etag_of,
)
from storage_core.catalog.rows import ContainerRow, StagedBlock, StageRow, UploadRow
from storage_core.log.format import Extent, LogPoint, Position

METADATA = (("key", "é"),)
PROPERTIES = BlobProperties("text/plain", "gzip", "de", b"\x01" * 16, "no-cache", "inline")
CONDITIONS = Conditions((etag_of(9),), ("*",), 1_700_000_000_000, 1_800_000_000_000)
POLICIES = (AccessPolicy("id", "2026-01-01", "2027-01-01", "rwd"),)
UPLOAD = bytes(range(16))
EXTENT = Extent(3, 4096, 262_144, 0x0123456789ABCDEF)

COMMANDS: tuple[Command, ...] = (
    CreateAccount("acct", (b"one", b"two")),
    CreateContainer("acct", "box", METADATA, "blob"),
    DeleteContainer("acct", "box", CONDITIONS),
    SetContainerMetadata("acct", "box", METADATA, CONDITIONS),
    SetContainerAccess("acct", "box", "container", POLICIES, CONDITIONS),
    PutBlob("acct", "box", "a/é", 4096, PROPERTIES, METADATA, CONDITIONS, b"", 0, 7),
    PutBlob("acct", "box", "a", 2**33, upload_id=UPLOAD, chunk_count=32_768),
    PutBlock("acct", "box", "a", b"0001", 4096, UPLOAD, 1),
    PutBlockList(
        "acct", "box", "a", (BlockChoice(b"01", 0), BlockChoice(b"02", 2)), PROPERTIES, METADATA
    ),
    DeleteBlob("acct", "box", "a", CONDITIONS),
    SetBlobMetadata("acct", "box", "a", METADATA),
    SetBlobProperties("acct", "box", "a", PROPERTIES),
    Chunk(UPLOAD, 5, "acct", "box", "a", b"0001"),
    AbortUpload(UPLOAD),
    Move("acct", "box", "a", b"0001", UPLOAD, EXTENT),
    ExpireUploads(1_700_000_000_000, 1_600_000_000_000),
    Reap(1000),
    SetAccountLimit("acct", 2_500),
)

PACKED = extents.pack(*EXTENT)
DESCRIBED = packing.pack_properties(PROPERTIES) + packing.pack_metadata(METADATA)

ROWS: dict[str, bytes] = {
    "account": rows.encode_account(2, 1_700_000_000_000, (b"one", b"two")),
    "account-limit": rows.encode_account_limit(2_500),
    "container": rows.encode_container(
        ContainerRow("box", 9, 1_700_000_000_000, 1_700_000_000_001, METADATA, "blob", POLICIES, 4)
    ),
    "blob": blob_row.encode(
        etag_index=9,
        created_ms=1_700_000_000_000,
        last_modified_ms=1_700_000_000_001,
        size=262_144,
        layout_id=8,
        crc64=7,
        extent_count=1,
        block_count=0,
        described=DESCRIBED,
        tail=PACKED,
        is_paged=False,
    ),
    "block-list": blob_row.pack_block_list(
        [ListedBlock(b"01", 262_144, 1), ListedBlock(b"02", 524_288, 2)]
    ),
    "stage": rows.encode_stage(StageRow(7, 1_700_000_000_000, 1_700_000_000_001, 262_144, 1, 2)),
    "staged-block": rows.encode_staged_block(StagedBlock(262_144, PACKED)),
    "upload": rows.encode_upload(
        UploadRow(6, 1_700_000_000_000, 1_700_000_000_001, 262_144, 4, 1, b"\x01\x00a0001")
    ),
    "operation": rows.encode_operation(
        UPLOAD, Outcome("", 9, 3, etag_of(9), 1_700_000_000_001, b"detail")
    ),
    "refused-operation": rows.encode_operation(UPLOAD, Outcome("BlobNotFound", 9, 3, "", 0, b"")),
    "applied": rows.encode_applied(LogPoint(9, 3, Position(3, 8192), 0xFEDCBA9876543210)),
}
