"""Whole blobs: put, deleted, described anew.

Every change asks in one order: is there a container, is there a blob where one is needed, does the
condition hold, did the content arrive; and writes only after the last answer. Replacing a blob
keeps the time it was created, discards its uncommitted blocks, and releases what it held.

Read next: `layouts` for the rows of the content, `blocks` for blobs put in parts.
"""

from __future__ import annotations

from typing import Optional, Union

from storage_core.catalog import blob_row, extents, keys, layouts, packing, stages, uploads
from storage_core.catalog.batch import Batch, Stamp
from storage_core.catalog.blob_row import BlobRow
from storage_core.catalog.commands import (
    UNCONDITIONAL,
    Conditions,
    DeleteBlob,
    SetBlobMetadata,
    SetBlobProperties,
)
from storage_core.catalog.conditions import create_refusal, write_refusal
from storage_core.catalog.layouts import Content
from storage_core.catalog.put_blob import PackedPutBlob
from storage_core.log.format import Extent


def find(batch: Batch, key: bytes) -> Optional[BlobRow]:
    """The committed blob at `keys.blob(...)`."""
    raw = batch.get(key)
    return None if raw is None else BlobRow(raw, batch.get)


def put(batch: Batch, stamp: Stamp, command: PackedPutBlob, body: Optional[Extent]) -> str:
    """Create or replace. `body` None asks for a refusal that does not depend on the content."""
    container = batch.container_at(command.container_key)
    if container is None:
        return "ContainerNotFound"
    generation = container.generation
    name = command.name
    key = keys.blob(generation, name)
    crc64 = command.crc64
    if _is_plain(batch, command, body):
        assert body is not None, "what is plain has a body"
        crc64 = body.crc if crc64 is None else crc64
        if layouts.write_one_body(batch, stamp, key, body, crc64, command.described):
            return ""
    old = find(batch, key)
    code = replace_refusal(command.conditions, old)
    if code or body is None:
        return code
    if command.upload_id:
        arrived = uploads.content(
            batch,
            command.upload_id,
            generation=generation,
            owner=uploads.owner_of(name, b""),
            chunk_count=command.chunk_count,
            size=command.size_bytes,
        )
        if arrived is None:
            return "InvalidBlobOrBlock"
        packed = arrived
    else:
        if body.length != command.size_bytes:
            return "InvalidBlobOrBlock"
        packed = extents.pack(*body) if body.length else b""
        if crc64 is None:
            crc64 = body.crc
    if old is not None or batch.stage_count:
        clear(batch, generation, name, old)
    content = Content(command.size_bytes, packed, crc64, [])
    created_ms = stamp.time_ms if old is None else old.created_ms
    layouts.write(batch, stamp, key, content, created_ms, command.described)
    return ""


def _is_plain(batch: Batch, command: PackedPutBlob, body: Optional[Extent]) -> bool:
    """Whether it is one body with no condition, and no uncommitted block is anywhere."""
    return (
        body is not None
        and body.length == command.size_bytes > 0
        and command.conditions is UNCONDITIONAL
        and not command.upload_id
        and not batch.stage_count
    )


def replace_refusal(conditions: Conditions, old: Optional[BlobRow]) -> str:
    if conditions is UNCONDITIONAL:
        return ""
    if old is None:
        return create_refusal(conditions, None, 0)
    return create_refusal(conditions, old.etag, old.last_modified_ms)


def clear(batch: Batch, generation: int, name: bytes, old: Optional[BlobRow]) -> None:
    """Discard what a blob held, and its uncommitted blocks. Its row is the caller's."""
    if old is not None:
        layouts.drop(batch, old)
    if batch.stage_count:
        stage_key = keys.stage(generation, name)
        stage = stages.find(batch, stage_key)
        if stage is not None:
            stages.drop(batch, stage_key, stage)


def delete(batch: Batch, stamp: Stamp, command: DeleteBlob) -> str:
    container = batch.container(command.account, command.container)
    if container is None:
        return "ContainerNotFound"
    name = command.blob.encode("utf-8")
    key = keys.blob(container.generation, name)
    old = find(batch, key)
    if old is None:
        return "BlobNotFound"
    code = write_refusal(command.conditions, old.etag, old.last_modified_ms)
    if code:
        return code
    clear(batch, container.generation, name, old)
    batch.delete(key)
    return ""


def describe(batch: Batch, stamp: Stamp, command: Union[SetBlobMetadata, SetBlobProperties]) -> str:
    """Change metadata or properties, each as a whole; the other stays."""
    container = batch.container(command.account, command.container)
    if container is None:
        return "ContainerNotFound"
    key = keys.blob(container.generation, command.blob.encode("utf-8"))
    old = find(batch, key)
    if old is None:
        return "BlobNotFound"
    code = write_refusal(command.conditions, old.etag, old.last_modified_ms)
    if code:
        return code
    if isinstance(command, SetBlobMetadata):
        properties, metadata = old.properties, command.metadata
    else:
        properties, metadata = command.properties, old.metadata
    row = blob_row.redescribed(
        old,
        etag_index=stamp.log_index,
        last_modified_ms=stamp.time_ms,
        described=packing.pack_properties(properties) + packing.pack_metadata(metadata),
    )
    batch.put(key, row)
    return ""
