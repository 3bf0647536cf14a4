"""What the store needs of an index: ordered rows, atomic batches, an explicit flush.

The Raft log is the write-ahead log, so an index need not be durable row by row. It must keep one
promise: what survives a crash is a prefix of the batches written, each whole. `flush` moves that
prefix up to the last batch; recovery replays the log from the applied point found in the rows.
"""

from __future__ import annotations

from typing import List, Optional, Protocol, Sequence, Tuple

Row = Tuple[bytes, Optional[bytes]]


class IndexPort(Protocol):
    """Keys and values are bytes; keys are ordered bytewise. A value of None deletes."""

    def get(self, key: bytes) -> Optional[bytes]:
        """The value now, or None where there is no such row."""

    def scan(self, start: bytes, stop: bytes, limit: int) -> List[Tuple[bytes, bytes]]:
        """At most `limit` rows with start <= key < stop, in key order."""

    def write(self, rows: Sequence[Row]) -> None:
        """Apply all rows or none, visible at once."""

    def flush(self) -> None:
        """Return when everything written so far survives a power cut. May take a while."""

    def close(self) -> None:
        """Release files. Not flushed rows may be forgotten."""
