"""Blobs put in parts: blocks that wait, and the list that makes a blob of them.

A block is named by an id, all ids of one blob equally long. The list says for each line where to
look: among the blocks of the blob as it is, among those that wait, or there first and then in the
blob. Whatever it does not name is discarded, waiting or committed. A blob with waiting blocks only
is no blob: it can't be read, listed or deleted.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional

from storage_core.catalog import blobs, extents, keys, layouts, packing, stages, uploads
from storage_core.catalog.batch import Batch, Stamp
from storage_core.catalog.blob_row import BlobRow, ListedBlock
from storage_core.catalog.commands import (
    BLOCK_BYTES_MAX,
    BLOCK_COUNT_MAX,
    BLOCK_ID_BYTES_MAX,
    COMMITTED,
    UNCOMMITTED,
    BlockChoice,
    PutBlock,
    PutBlockList,
)
from storage_core.catalog.layouts import Content
from storage_core.catalog.rows import StagedBlock, StageRow
from storage_core.log.format import Extent


def put(batch: Batch, stamp: Stamp, command: PutBlock, body: Optional[Extent]) -> str:
    """Add an uncommitted block. `body` None asks only what does not depend on the content."""
    container = batch.container(command.account, command.container)
    if container is None:
        return "ContainerNotFound"
    name = command.blob.encode("utf-8")
    key = keys.stage(container.generation, name)
    code = stages.add_refusal(batch, stages.find(batch, key), command.block_id)
    if code or body is None:
        return code
    if command.size_bytes > BLOCK_BYTES_MAX:
        return "InvalidBlobOrBlock"
    if command.upload_id:
        packed = uploads.content(
            batch,
            command.upload_id,
            generation=container.generation,
            owner=uploads.owner_of(name, command.block_id),
            chunk_count=command.chunk_count,
            size=command.size_bytes,
        )
        if packed is None:
            return "InvalidBlobOrBlock"
    else:
        if body.length != command.size_bytes:
            return "InvalidBlobOrBlock"
        packed = extents.pack(*body) if body.length else b""
    stages.add(batch, stamp, key, command.block_id, StagedBlock(command.size_bytes, packed))
    return ""


def put_list(batch: Batch, stamp: Stamp, command: PutBlockList) -> str:
    container = batch.container(command.account, command.container)
    if container is None:
        return "ContainerNotFound"
    name = command.blob.encode("utf-8")
    key = keys.blob(container.generation, name)
    old = blobs.find(batch, key)
    code = blobs.replace_refusal(command.conditions, old) or _list_refusal(command)
    if code:
        return code
    stage = stages.find(batch, keys.stage(container.generation, name))
    content = _Search(batch, old, stage).content(command)
    if content is None:
        return "InvalidBlockList"
    described = packing.pack_properties(command.properties) + packing.pack_metadata(
        command.metadata
    )
    blobs.clear(batch, container.generation, name, old)
    created_ms = stamp.time_ms if old is None else old.created_ms
    layouts.write(batch, stamp, key, content, created_ms, described)
    return ""


def _list_refusal(command: PutBlockList) -> str:
    if len(command.blocks) > BLOCK_COUNT_MAX:
        return "BlockListTooLong"
    widths = {len(choice.block_id) for choice in command.blocks}
    if len(widths) > 1 or not all([0 < width <= BLOCK_ID_BYTES_MAX for width in widths]):
        return "InvalidBlobOrBlock"
    return ""


class _Found(NamedTuple):
    size: int
    packed: bytes


class _Search:
    """The blocks that one list may name. Committed ones are unpacked only if one is asked for."""

    def __init__(self, batch: Batch, old: Optional[BlobRow], stage: Optional[StageRow]) -> None:
        self._batch = batch
        self._old = old
        self._stage = stage
        self._waiting: Dict[bytes, Optional[_Found]] = {}
        self._committed: Optional[Dict[bytes, _Found]] = None

    def content(self, command: PutBlockList) -> Optional[Content]:
        """The content that the list makes, or None where it names a block that is not there."""
        listed: List[ListedBlock] = []
        parts: List[bytes] = []
        size = 0
        for choice in command.blocks:
            found = self._find(choice)
            if found is None:
                return None
            size += found.size
            parts.append(found.packed)
            count = extents.count(found.packed)
            listed.append(ListedBlock(choice.block_id, found.size, count))
        return Content(size, b"".join(parts), None, listed)

    def _find(self, choice: BlockChoice) -> Optional[_Found]:
        if choice.source != COMMITTED:
            waiting = self._find_waiting(choice.block_id)
            if waiting is not None or choice.source == UNCOMMITTED:
                return waiting
        if self._committed is None:
            self._committed = self._unpack_committed()
        return self._committed.get(choice.block_id)

    def _find_waiting(self, block_id: bytes) -> Optional[_Found]:
        if self._stage is None:
            return None
        if block_id not in self._waiting:
            staged = stages.block(self._batch, self._stage, block_id)
            self._waiting[block_id] = None if staged is None else _Found(*staged)
        return self._waiting[block_id]

    def _unpack_committed(self) -> Dict[bytes, _Found]:
        if self._old is None or not self._old.block_count:
            return {}
        packed = self._old.packed()
        known: Dict[bytes, _Found] = {}
        at = 0
        for block in self._old.listed_blocks():
            end = at + block.extent_count * extents.EXTENT_BYTES
            known[block.id] = _Found(block.size, packed[at:end])
            at = end
        assert at == len(packed), (at, len(packed))
        return known
