"""The index of a simulated node: in memory, and forgetful of what was not flushed."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Dict, List, Optional, Sequence, Tuple

from storage_core.index.port import Row


class SimIndex:
    """Implements IndexPort. `crash` goes back to the last flush."""

    def __init__(self) -> None:
        self._rows: Dict[bytes, bytes] = {}
        self._keys: List[bytes] = []
        self._durable: Dict[bytes, bytes] = {}
        self._changed: Dict[bytes, None] = {}

    def get(self, key: bytes) -> Optional[bytes]:
        return self._rows.get(key)

    def scan(self, start: bytes, stop: bytes, limit: int) -> List[Tuple[bytes, bytes]]:
        first = bisect_left(self._keys, start)
        last = min(bisect_left(self._keys, stop), first + limit)
        return [(key, self._rows[key]) for key in self._keys[first:last]]

    def write(self, rows: Sequence[Row]) -> None:
        for key, value in rows:
            self._changed[key] = None
            if value is None:
                if self._rows.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]
            else:
                if key not in self._rows:
                    insort(self._keys, key)
                self._rows[key] = value

    def flush(self) -> None:
        for key in self._changed:
            value = self._rows.get(key)
            if value is None:
                self._durable.pop(key, None)
            else:
                self._durable[key] = value
        self._changed.clear()

    def close(self) -> None:
        """Nothing is held open."""

    def crash(self) -> None:
        self._rows = dict(self._durable)
        self._keys = sorted(self._rows)
        self._changed.clear()
