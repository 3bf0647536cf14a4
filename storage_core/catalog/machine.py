"""The catalog: committed entries in, rows and outcomes out, equal on every replica.

Problem: replicas apply the same entries in batches of different sizes, crash between index flushes
and apply again, and clients send again what they got no answer to; all must end in the same rows
and every client must get the first answer. Idea: a batch's rows, the live bytes of each segment,
the outcomes and the applied point go to the index in one atomic write, so that whatever survives a
crash is a state the log passed through. Nothing here reads a clock or depends on how entries were
batched.

The memory of operations is a ring of rows, one for each of the last 65,536 entries: slot = index
modulo size. A repeat within that reach is answered with the first outcome and has no effect.

Read next: `batch`, then `blobs` and `blocks` for the effects.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Type, Union

from storage_core.catalog import (
    blobs,
    blocks,
    codec,
    containers,
    garbage,
    keys,
    moves,
    packing,
    put_blob,
    rows,
    uploads,
)
from storage_core.catalog.batch import Batch, Stamp
from storage_core.catalog.commands import (
    OP_ID_BYTES,
    REMEMBERED_COUNT,
    AbortUpload,
    Chunk,
    Command,
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
from storage_core.catalog.put_blob import PackedPutBlob
from storage_core.catalog.rows import ContainerRow
from storage_core.catalog.view import CatalogView
from storage_core.index.port import IndexPort
from storage_core.log.format import HEADER_BYTES, Extent, LogPoint, Position
from storage_core.raft.messages import NOOP, Entry

NO_OPERATION = bytes(OP_ID_BYTES)
_LOAD_ROWS = 4096


class _Effect(NamedTuple):
    """How a command is applied: whether its entry's body matters, and whether it sets an ETag."""

    run: Callable[..., str]
    takes_body: bool = False
    sets_etag: bool = False


_EFFECTS: Dict[Type[Any], _Effect] = {
    CreateAccount: _Effect(containers.create_account, sets_etag=True),
    SetAccountLimit: _Effect(containers.limit_account),
    CreateContainer: _Effect(containers.create, sets_etag=True),
    DeleteContainer: _Effect(containers.delete),
    SetContainerMetadata: _Effect(containers.change, sets_etag=True),
    SetContainerAccess: _Effect(containers.change, sets_etag=True),
    PutBlob: _Effect(blobs.put, takes_body=True, sets_etag=True),
    PutBlock: _Effect(blocks.put, takes_body=True),
    PutBlockList: _Effect(blocks.put_list, sets_etag=True),
    DeleteBlob: _Effect(blobs.delete),
    SetBlobMetadata: _Effect(blobs.describe, sets_etag=True),
    SetBlobProperties: _Effect(blobs.describe, sets_etag=True),
    Chunk: _Effect(uploads.chunk, takes_body=True),
    AbortUpload: _Effect(uploads.abort),
    Move: _Effect(moves.move, takes_body=True),
    ExpireUploads: _Effect(garbage.expire),
    Reap: _Effect(garbage.reap),
}
_PUT_BLOB = _EFFECTS[PutBlob]
_Applicable = Union[Command, PackedPutBlob]
assert set(_EFFECTS) == {shape.command for shape in codec.SHAPES}, "each command has an effect"


class Catalog:
    """The state machine over one index. Single-threaded; a crash is survived by making a new one.

    `remembered_count` must be equal on all nodes.
    """

    def __init__(self, index: IndexPort, *, remembered_count: int = REMEMBERED_COUNT) -> None:
        self._index = index
        self._decoded: Dict[bytes, ContainerRow] = {}
        self._remembered_count = remembered_count
        self._operations: Dict[bytes, int] = {}
        self._slots: Dict[int, bytes] = {}
        self._live: Dict[int, int] = {}
        self._stage_count = 0
        # Requests in 1,000 s by account; changed in place, so that who holds it sees each change.
        self.limits: Dict[str, int] = {}
        raw = index.get(keys.APPLIED)
        self._applied = None if raw is None else rows.decode_applied(raw)
        self._load()

    def _load(self) -> None:
        for key, raw in self._all(keys.LIVE):
            self._live[keys.number_of(key)] = packing.U64.unpack(raw)[0]
        for key, raw in self._all(keys.OPERATION):
            self._remember(keys.slot_of(key), rows.op_id_of(raw))
        self._stage_count = len(self._all(keys.STAGE))
        for key, raw in self._all(keys.ACCOUNT_LIMIT):
            self.limits[keys.account_of(key)] = rows.decode_account_limit(raw)

    def _all(self, prefix: bytes) -> List[Tuple[bytes, bytes]]:
        found: List[Tuple[bytes, bytes]] = []
        start = prefix
        while True:
            part = self._index.scan(start, keys.successor(prefix), _LOAD_ROWS)
            found += part
            if len(part) < _LOAD_ROWS:
                return found
            start = part[-1][0] + b"\x00"

    # -- questions --------------------------------------------------------------------------

    def applied(self) -> Optional[LogPoint]:
        """The end of the last entry applied; None before the first."""
        return self._applied

    def view(self) -> CatalogView:
        """The rows for readers; whatever is kept decoded here is fresh there, too."""
        return CatalogView(self._index, self._decoded)

    def segments(self) -> Dict[int, int]:
        """Live bytes of each segment that has any."""
        return dict(self._live)

    def evaluate(self, command: Command) -> str:
        """The code that applying `command` now would answer with; nothing changes.

        The content is not looked at, neither a body nor an upload: it may yet come.
        """
        effect = _EFFECTS[type(command)]
        if isinstance(command, PutBlob):
            return self._evaluate(effect, put_blob.pack(command))
        return self._evaluate(effect, command)

    def _evaluate(self, effect: _Effect, command: _Applicable) -> str:
        batch = Batch(self._index, self._decoded, self._stage_count)
        applied = self._applied
        stamp = Stamp(1 + (applied.index if applied else 0), applied.term if applied else 0, 0)
        if effect.takes_body:
            return effect.run(batch, stamp, command, None)
        return effect.run(batch, stamp, command)

    def is_live(self, meta: bytes, extent: Extent) -> Optional[Move]:
        """For the cleaner: the move to propose for a record's body, or None where it is garbage."""
        return moves.owner(Batch(self._index, self._decoded, self._stage_count), meta, extent)

    def housekeeping(self, time_ms: int) -> Optional[Command]:
        """What the leader should propose next to tidy up: `Reap`, `ExpireUploads` or nothing."""
        return garbage.due(self._index, time_ms)

    # -- the one way to change --------------------------------------------------------------

    def apply(self, batch: Sequence[Tuple[Entry, Position, int]], end: LogPoint) -> List[Outcome]:
        """Apply entries in order, each with where its record starts and the length of its meta.

        `end` is the point after the last. Outcomes come in the order of the entries.
        """
        assert batch, "an empty batch moves nothing"
        assert batch[-1][0].index == end.index, (batch[-1][0].index, end.index)
        changes = Batch(self._index, self._decoded, self._stage_count)
        expected = 1 + (self._applied.index if self._applied is not None else 0)
        outcomes: List[Outcome] = []
        for entry, position, meta_bytes in batch:
            assert entry.index == expected, (entry.index, expected)
            expected += 1
            outcomes.append(self._apply_one(changes, entry, position, meta_bytes))
        self._settle_live(changes)
        changes.put(keys.APPLIED, rows.encode_applied(end))
        self._index.write(list(changes.rows.items()))
        changes.forget_decoded()
        self._stage_count = changes.stage_count
        if changes.limits:
            self._adopt_limits(changes)
        self._applied = end
        return outcomes

    def _apply_one(
        self, changes: Batch, entry: Entry, position: Position, meta_bytes: int
    ) -> Outcome:
        index = entry.index
        if entry.kind == NOOP:
            return Outcome("", index, entry.term, "", 0, b"")
        op_id = entry.op_id
        is_operation = len(op_id) == OP_ID_BYTES and op_id != NO_OPERATION
        if is_operation and op_id in self._operations:
            raw = changes.get(keys.operation(self._operations[op_id]))
            assert raw is not None and rows.op_id_of(raw) == op_id, (index, op_id)
            return rows.decode_operation(raw)
        command: _Applicable
        if put_blob.is_put_blob(entry.meta):
            command = put_blob.decode(entry.meta)
            effect = _PUT_BLOB
        else:
            command = codec.decode(entry.meta)
            effect = _EFFECTS[type(command)]
        stamp = Stamp(index, entry.term, entry.time_ms)
        if effect.takes_body:
            body = Extent(
                position.segment_seq,
                position.offset + HEADER_BYTES + meta_bytes,
                len(entry.body),
                entry.body_crc,
            )
            code = effect.run(changes, stamp, command, body)
            # A final entry settles its upload either way: nobody can name it again.
            if isinstance(command, (PackedPutBlob, PutBlock)) and command.upload_id:
                uploads.drop(changes, command.upload_id)
        else:
            code = effect.run(changes, stamp, command)
        if code or not effect.sets_etag:
            outcome = Outcome(code, index, entry.term, "", 0, b"")
        else:
            outcome = Outcome("", index, entry.term, etag_of(index), entry.time_ms, b"")
        if is_operation:
            slot = index % self._remembered_count
            self._remember(slot, op_id)
            changes.put(keys.operation(slot), rows.encode_operation(op_id, outcome))
        return outcome

    def _remember(self, slot: int, op_id: bytes) -> None:
        forgotten = self._slots.get(slot)
        if forgotten is not None:
            del self._operations[forgotten]
        self._slots[slot] = op_id
        self._operations[op_id] = slot

    def _adopt_limits(self, changes: Batch) -> None:
        for account, requests_per_ks in changes.limits.items():
            if requests_per_ks:
                self.limits[account] = requests_per_ks
            else:
                self.limits.pop(account, None)

    def _settle_live(self, changes: Batch) -> None:
        for segment_seq, change in sorted(changes.live.items()):
            if not change:
                continue
            live = self._live.get(segment_seq, 0) + change
            assert live >= 0, (segment_seq, live, "a body was released twice")
            if live:
                self._live[segment_seq] = live
                changes.put(keys.live(segment_seq), packing.U64.pack(live))
            else:
                del self._live[segment_seq]
                changes.delete(keys.live(segment_seq))
