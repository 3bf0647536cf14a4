"""A batch of entries being applied: the index as it will be, before anything is written.

Problem: entries of one batch see each other's effects, yet the index gets them in one atomic
write; and a question ("would this be refused?") must see the same rows and leave none. Idea: an
overlay of rows over the index, with the change of live bytes per segment beside it. The machine
writes both at the end, or throws both away.

Invariant: a command puts rows only once it can no longer be refused, so an overlay never holds
half of an entry.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Tuple

from storage_core.catalog import extents, keys, rows
from storage_core.catalog.rows import ContainerRow
from storage_core.index.port import IndexPort

_DECODED_MAX = 1024
_ABSENT = object()


class Stamp(NamedTuple):
    """What an entry knows of itself: its place in the order, and the leader's clock."""

    log_index: int
    term: int
    time_ms: int


class Batch:
    """Reads fall through to the index; writes stay here. One owner: the machine."""

    __slots__ = ("_decoded", "_index", "_touched", "limits", "live", "rows", "stage_count")

    def __init__(
        self, index: IndexPort, decoded: Dict[bytes, ContainerRow], stage_count: int = 0
    ) -> None:
        self._index = index
        # Container rows as the index has them, decoded: nearly every command needs one.
        self._decoded = decoded
        self._touched: List[bytes] = []
        self.rows: Dict[bytes, Optional[bytes]] = {}
        self.live: Dict[int, int] = {}
        # Blobs with uncommitted blocks: while there are none, nobody looks for some.
        self.stage_count = stage_count
        # Limits of accounts that this batch sets; 0 lifts one.
        self.limits: Dict[str, int] = {}

    def get(self, key: bytes) -> Optional[bytes]:
        row = self.rows.get(key, _ABSENT)
        if row is _ABSENT:
            return self._index.get(key)
        return row  # type: ignore[return-value]  # the sentinel is gone

    def put(self, key: bytes, value: bytes) -> None:
        self.rows[key] = value

    def delete(self, key: bytes) -> None:
        self.rows[key] = None

    def scan(self, start: bytes, stop: bytes, limit: int) -> List[Tuple[bytes, bytes]]:
        """As the index's scan, with this batch's rows in their places."""
        changed = {key: row for key, row in self.rows.items() if start <= key < stop}
        if not changed:
            return self._index.scan(start, stop, limit)
        # Each changed row hides at most one of the index, so this many are enough.
        merged: Dict[bytes, Optional[bytes]] = dict(
            self._index.scan(start, stop, limit + len(changed))
        )
        merged.update(changed)
        found = [(key, row) for key, row in sorted(merged.items()) if row is not None]
        return found[:limit]

    def container(self, account: str, name: str) -> Optional[ContainerRow]:
        return self.container_at(keys.container(account, name))

    def container_at(self, key: bytes) -> Optional[ContainerRow]:
        changed = self.rows.get(key, _ABSENT)
        if changed is None:
            return None
        if changed is not _ABSENT:
            name = keys.container_name_of(key)
            return rows.decode_container(name, changed)  # type: ignore[arg-type]  # is bytes
        known = self._decoded.get(key)
        if known is None:
            raw = self._index.get(key)
            if raw is None:
                return None
            if len(self._decoded) >= _DECODED_MAX:
                self._decoded.clear()
            known = rows.decode_container(keys.container_name_of(key), raw)
            self._decoded[key] = known
        return known

    def put_container(self, account: str, row: Optional[ContainerRow], name: str) -> None:
        """None deletes. The row's ETag is that of the entry which wrote it."""
        key = keys.container(account, name)
        self._touched.append(key)
        self.rows[key] = None if row is None else rows.encode_container(row)

    def forget_decoded(self) -> None:
        """The batch is in the index: what was decoded before is old."""
        for key in self._touched:
            self._decoded.pop(key, None)

    def hold(self, packed: bytes) -> None:
        """One more row refers to these bodies."""
        extents.tally(self.live, packed, 1)

    def release(self, packed: bytes) -> None:
        """One row fewer refers to these bodies."""
        extents.tally(self.live, packed, -1)
