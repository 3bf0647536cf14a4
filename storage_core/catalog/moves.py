"""Which rows still need a body, and how they learn that it lies elsewhere.

The cleaner empties a segment by appending its live bodies again. A record's own command says who
owned the body when it was written: an upload, an uncommitted block, a blob. By now it may be in any
of the three, or dropped; `owner` asks all of them, and `move` changes whichever still name the old
place when the move's turn comes in the log. If none does, the move has no effect.

Invariant: a move changes no size, no ETag, no time: a reader can't tell that it happened.
"""

from __future__ import annotations

from typing import Optional

from storage_core.catalog import blobs, codec, extents, keys, layouts, stages, uploads
from storage_core.catalog.batch import Batch, Stamp
from storage_core.catalog.commands import Chunk, Move, PutBlob, PutBlock
from storage_core.log.format import Extent


def owner(batch: Batch, meta: bytes, extent: Extent) -> Optional[Move]:
    """The move to propose for the body of a record with this meta, or None where it is garbage."""
    if not extent.length:
        return None
    command = codec.decode(meta)
    if isinstance(command, PutBlob):
        block_id = upload_id = b""
    elif isinstance(command, PutBlock):
        block_id, upload_id = command.block_id, b""
    elif isinstance(command, (Chunk, Move)):
        block_id, upload_id = command.block_id, command.upload_id
    else:
        return None
    move = Move(command.account, command.container, command.blob, block_id, upload_id, extent)
    return move if _is_named(batch, move) else None


def _is_named(batch: Batch, move: Move) -> bool:
    wanted = extents.pack(*move.old)
    if move.upload_id and uploads.places(batch, move.upload_id, wanted):
        return True
    container = batch.container(move.account, move.container)
    if container is None:
        return False
    name = move.blob.encode("utf-8")
    if move.block_id:
        stage_key = keys.stage(container.generation, name)
        if stages.places(batch, stage_key, move.block_id, wanted) is not None:
            return True
    row = blobs.find(batch, keys.blob(container.generation, name))
    return row is not None and bool(layouts.places(row, wanted))


def move(batch: Batch, stamp: Stamp, command: Move, body: Optional[Extent]) -> str:
    old = command.old
    if body is None:
        return ""
    if (body.length, body.crc) != (old.length, old.crc) or not old.length:
        return "InvalidBlobOrBlock"
    wanted = extents.pack(*old)
    new = extents.pack(*body)
    count = 0
    if command.upload_id:
        count += uploads.replace(batch, command.upload_id, wanted, new)
    container = batch.container(command.account, command.container)
    if container is not None:
        name = command.blob.encode("utf-8")
        if command.block_id:
            stage_key = keys.stage(container.generation, name)
            count += stages.replace(batch, stage_key, command.block_id, wanted, new)
        blob_key = keys.blob(container.generation, name)
        row = blobs.find(batch, blob_key)
        if row is not None:
            count += layouts.replace(batch, blob_key, row, wanted, new)
    batch.release(wanted * count)
    batch.hold(new * count)
    return ""
