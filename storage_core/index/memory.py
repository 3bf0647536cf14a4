"""The index in memory: the twin of `rocks` for the simulator and for tests.

It keeps the port's one promise in the harshest way: `crash` forgets every batch written since the
last `flush`. What the real index may have saved by luck, this one never does, so a core that
recovers over it recovers over both.

Rows are a dict, their keys a sorted list. New keys gather unsorted and are brought in when somebody
scans: a few are inserted, many are sorted in, which is nearly linear for a sorted run with a tail.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Dict, List, Optional, Sequence, Tuple

from storage_core.index.port import Row

# Below one new key in so many, inserting each is quicker than sorting all.
INSERT_RATIO = 64


class MemoryIndex:
    """Implements `IndexPort`."""

    def __init__(self) -> None:
        self._rows: Dict[bytes, bytes] = {}
        self._keys: List[bytes] = []  # sorted; may hold deleted keys until the next scan
        self._added: List[bytes] = []
        self._stale_count = 0
        # What each key changed since the last flush held before it; None: it was not there.
        self._undo: Dict[bytes, Optional[bytes]] = {}

    def get(self, key: bytes) -> Optional[bytes]:
        return self._rows.get(key)

    def scan(self, start: bytes, stop: bytes, limit: int) -> List[Tuple[bytes, bytes]]:
        if self._added or self._stale_count > len(self._rows):
            self._settle()
        rows = self._rows
        known = self._keys
        found: List[Tuple[bytes, bytes]] = []
        at = bisect_left(known, start)
        while at < len(known) and len(found) < limit:
            key = known[at]
            if key >= stop:
                break
            value = rows.get(key)
            if value is not None:
                found.append((key, value))
            at += 1
        return found

    def write(self, rows: Sequence[Row]) -> None:
        current = self._rows
        undo = self._undo
        for key, value in rows:
            old = current.get(key)
            if key not in undo:
                undo[key] = old
            if value is None:
                if old is not None:
                    del current[key]
                    self._stale_count += 1
            else:
                if old is None:
                    self._added.append(key)
                current[key] = value

    def flush(self) -> None:
        self._undo = {}

    def crash(self) -> None:
        """Forget what was not flushed."""
        for key, old in self._undo.items():
            if old is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = old
        self._undo = {}
        self._added = []
        self._stale_count = 0
        self._keys = sorted(self._rows)

    def close(self) -> None:
        """Nothing to release."""

    def _settle(self) -> None:
        """Bring the sorted keys up to date. A key deleted and written again is in them already."""
        known = self._keys
        if self._stale_count > len(self._rows):
            self._keys = sorted(self._rows)
            self._stale_count = 0
        elif len(self._added) * INSERT_RATIO < len(known):
            for key in self._added:
                at = bisect_left(known, key)
                if at == len(known) or known[at] != key:
                    known.insert(at, key)
        else:
            known += self._added
            known.sort()
            if self._stale_count:
                self._keys = list(dict.fromkeys(known))
        self._added = []
