"""The catalog as a reader sees it: rows turned into values, nothing decided, nothing written.

A blob's row is decoded as far as it is asked for: most reads want size, ETag and one or two
extents, a listing wants no extents at all. What a view returns holds until the next batch is
applied; take the extents of a large blob before waiting for anything.

Read next: `rows`, which lays the values out as bytes; `keys`, which makes the order.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from storage_core.catalog.rows import AccountRow, BlobRow, ContainerRow
from storage_core.index.port import IndexPort


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
    """Reads of one index. Cheap to make."""

    __slots__ = ("_index",)

    def __init__(self, index: IndexPort) -> None:
        self._index = index

    def account(self, name: str) -> Optional[AccountRow]:
        """The account's keys, or None where there is no such account."""
        raise NotImplementedError

    def container(self, account: str, name: str) -> Optional[ContainerRow]:
        raise NotImplementedError

    def containers(self, account: str, prefix: str, marker: str, limit: int) -> ContainerPage:
        """Containers of an account in name order, from `marker` (inclusive) on."""
        raise NotImplementedError

    def blob(self, account: str, container: str, name: str) -> Optional[BlobRow]:
        """The committed blob. None where container or blob is missing, or nothing committed."""
        raise NotImplementedError

    def uncommitted_blocks(
        self, account: str, container: str, name: str
    ) -> Optional[List[UncommittedBlock]]:
        """Uncommitted blocks in id order; None where the blob has none. Committed: `row.blocks`."""
        raise NotImplementedError

    def list_blobs(
        self, account: str, container: str, prefix: str, delimiter: str, marker: str, limit: int
    ) -> ListPage:
        """Committed blobs from `marker` (inclusive) on; those past a delimiter as one prefix."""
        raise NotImplementedError
