"""The catalog as a reader sees it: rows turned into values, nothing decided, nothing written.

A blob's row is decoded as far as it is asked for: most reads want size, ETag and one or two
extents, a listing wants no extents at all. Rows that were read lately are kept with what was
decoded of them, by their bytes: the index says what is true, memory only what it means. What a
view returns holds until the next batch is applied; take the extents of a large blob before
waiting for anything.

Read next: `rows`, which lays the values out as bytes; `keys`, which makes the order.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

from storage_core.catalog import keys, rows
from storage_core.catalog.rows import AccountRow, BlobRow, ContainerRow
from storage_core.index.port import IndexPort

# A scan returns whole rows; under a delimiter most of them may be folded into one prefix.
SCAN_ROWS_MAX = 256
# Rows of small blobs that are kept decoded, and how large such a row may be: some 10 MiB in all.
KEPT_ROWS_MAX = 8192
KEPT_ROW_BYTES_MAX = 512


class UncommittedBlock(NamedTuple):
    """`size` in bytes."""

    id: bytes
    size: int


class ListedBlob(NamedTuple):
    name: str
    row: BlobRow


class ListPage(NamedTuple):
    """Names in UTF-8 order; `limit` counts blobs and prefixes together. No more: marker ""."""

    items: Tuple[ListedBlob, ...]
    prefixes: Tuple[str, ...]
    next_marker: str


class ContainerPage(NamedTuple):
    items: Tuple[ContainerRow, ...]
    next_marker: str


class CatalogView:
    """Reads of one index.

    Accounts that were found are kept, because every request asks for one: no command changes or
    removes an account. A command that does must come with a view that learns of it.
    """

    __slots__ = ("_accounts", "_containers", "_index", "_rows")

    def __init__(
        self, index: IndexPort, containers: Optional[Mapping[bytes, ContainerRow]] = None
    ) -> None:
        """`containers`: rows by key, kept by who writes the index and forgets what it changes."""
        self._index = index
        self._containers = {} if containers is None else containers
        self._accounts: Dict[str, AccountRow] = {}
        self._rows: Dict[bytes, BlobRow] = {}

    def account(self, name: str) -> Optional[AccountRow]:
        """The account's keys, or None where there is no such account."""
        found = self._accounts.get(name)
        if found is not None:
            return found
        raw = self._index.get(keys.account(name))
        if raw is None:
            return None
        self._accounts[name] = found = rows.decode_account(name, raw)
        return found

    def accounts(self, limit: int) -> List[AccountRow]:
        """The first accounts in name order."""
        found = self._index.scan(keys.ACCOUNT, keys.successor(keys.ACCOUNT), limit)
        return [rows.decode_account(keys.account_of(key), raw) for key, raw in found]

    def container(self, account: str, name: str) -> Optional[ContainerRow]:
        raw = self._index.get(keys.container(account, name))
        return None if raw is None else rows.decode_container(name, raw)

    def containers(self, account: str, prefix: str, marker: str, limit: int) -> ContainerPage:
        """Containers of an account in name order, from `marker` (inclusive) on."""
        assert limit > 0, limit
        base = keys.container(account, "")
        within = keys.container(account, prefix)
        start = max(within, keys.container(account, marker))
        found = self._index.scan(start, keys.successor(within), limit + 1)
        names = [key[len(base) :].decode("utf-8") for key, _ in found]
        items = [rows.decode_container(name, raw) for name, (_, raw) in zip(names, found)]
        return ContainerPage(tuple(items[:limit]), names[limit] if len(names) > limit else "")

    def blob(self, account: str, container: str, name: str) -> Optional[BlobRow]:
        """The committed blob. None where container or blob is missing, or nothing committed."""
        generation = self._generation(account, container)
        if generation is None:
            return None
        raw = self._index.get(keys.blobs_of(generation) + name.encode("utf-8"))
        if raw is None:
            return None
        row = self._rows.get(raw)
        if row is None:
            row = BlobRow(raw, self._index.get)
            if len(raw) <= KEPT_ROW_BYTES_MAX:
                if len(self._rows) >= KEPT_ROWS_MAX:
                    self._rows.clear()
                self._rows[raw] = row
        return row

    def _generation(self, account: str, container: str) -> Optional[int]:
        key = keys.container(account, container)
        known = self._containers.get(key)
        if known is not None:
            return known.generation
        raw = self._index.get(key)
        return None if raw is None else rows.generation_of(raw)

    def uncommitted_blocks(
        self, account: str, container: str, name: str
    ) -> Optional[List[UncommittedBlock]]:
        """Uncommitted blocks in id order; None where the blob has none. Committed: `row.blocks`."""
        generation = self._generation(account, container)
        if generation is None:
            return None
        raw = self._index.get(keys.stage(generation, name.encode("utf-8")))
        if raw is None:
            return None
        stage = rows.decode_stage(raw)
        prefix = keys.staged_blocks_of(stage.stage_id)
        blocks = self._index.scan(prefix, keys.successor(prefix), stage.block_count)
        assert len(blocks) == stage.block_count, (stage, len(blocks))
        return [
            UncommittedBlock(key[len(prefix) :], rows.decode_staged_block(row).size)
            for key, row in blocks
        ]

    def list_blobs(
        self, account: str, container: str, prefix: str, delimiter: str, marker: str, limit: int
    ) -> ListPage:
        """Committed blobs from `marker` (inclusive) on; those past a delimiter as one prefix."""
        assert limit > 0, limit
        generation = self._generation(account, container)
        if generation is None:
            return ListPage((), (), "")
        return _Listing(self._index, generation, prefix, delimiter).page(marker, limit)


class _Listing:
    """One walk over the names of a container, leaping over what a delimiter folds together."""

    def __init__(self, index: IndexPort, generation: int, prefix: str, delimiter: str) -> None:
        self._index = index
        self._base = keys.blobs_of(generation)
        self._prefix = prefix.encode("utf-8")
        self._delimiter = delimiter.encode("utf-8")
        self._items: List[ListedBlob] = []
        self._prefixes: List[str] = []

    def page(self, marker: str, limit: int) -> ListPage:
        within = self._base + self._prefix
        stop = keys.successor(within)
        start = max(within, self._base + marker.encode("utf-8"))
        next_marker = ""
        while start < stop and not next_marker:
            due = limit + 1 - len(self._items) - len(self._prefixes)
            part = self._index.scan(start, stop, min(due, SCAN_ROWS_MAX))
            if not part:
                break
            start, next_marker = self._take(part, limit)
        return ListPage(tuple(self._items), tuple(self._prefixes), next_marker)

    def _take(self, part: List[Tuple[bytes, bytes]], limit: int) -> Tuple[bytes, str]:
        """Fold some rows in. Returns where to scan on, and the marker once the page is full."""
        start = part[-1][0] + b"\x00"
        leap = b""
        for key, raw in part:
            if key < leap:
                continue
            name = key[len(self._base) :]
            folded = self._folded(name)
            shown = (folded or name).decode("utf-8")
            if len(self._items) + len(self._prefixes) == limit:
                return start, shown
            if folded:
                self._prefixes.append(shown)
                leap = keys.successor(self._base + folded)
            else:
                self._items.append(ListedBlob(shown, BlobRow(raw, self._index.get)))
        return max(start, leap), ""

    def _folded(self, name: bytes) -> bytes:
        """The name up to and with the first delimiter after the prefix, or nothing."""
        if not self._delimiter:
            return b""
        at = name.find(self._delimiter, len(self._prefix))
        return name[: at + len(self._delimiter)] if at >= 0 else b""
