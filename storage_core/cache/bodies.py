"""Small bodies kept in memory by where they lie in the log, least recently used out first.

A record never changes where it lies, so an entry can't go stale while its segment lives; a
recycled segment gets a new sequence number and with it new keys. Bounded by bytes, those that
Python needs to keep a body included: a million bodies of one byte are not a megabyte.
"""

from __future__ import annotations

BODY_BYTES_MAX = 64 * 1024
"""Larger ones come from the page cache at memory speed anyway."""
CACHE_BYTES_DEFAULT = 128 * 1024 * 1024
ENTRY_BYTES = 200
"""A bytes object's head, its key and its place in the dict, roughly."""


class BodyCache:
    """Maps (segment, offset of the body) to bytes. Not safe for threads."""

    __slots__ = ("_bodies", "_bytes", "bytes_max")

    def __init__(self, bytes_max: int = CACHE_BYTES_DEFAULT) -> None:
        self._bodies: dict[int, bytes] = {}
        self._bytes = 0
        self.bytes_max = bytes_max

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def get(self, segment_seq: int, offset: int) -> bytes | None:
        """The body, which is now the most recently used one."""
        key = segment_seq << 32 | offset
        body = self._bodies.pop(key, None)
        if body is not None:
            self._bodies[key] = body  # a dict keeps insertion order: last is newest
        return body

    def put(self, segment_seq: int, offset: int, body: bytes) -> None:
        """Keep `body` if it's small enough, at the cost of the oldest ones."""
        if not 0 < len(body) <= BODY_BYTES_MAX:
            return
        key = segment_seq << 32 | offset
        if key in self._bodies:
            return
        self._bodies[key] = body
        self._bytes += len(body) + ENTRY_BYTES
        if self._bytes > self.bytes_max:
            self._make_room()

    def resize(self, bytes_max: int) -> None:
        """From now on keep this many bytes at most; 0 keeps nothing."""
        self.bytes_max = bytes_max
        self._make_room()

    def _make_room(self) -> None:
        while self._bytes > self.bytes_max:
            oldest = next(iter(self._bodies))
            self._bytes -= len(self._bodies.pop(oldest)) + ENTRY_BYTES
