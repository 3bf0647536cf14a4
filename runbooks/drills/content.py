"""What a drill's blobs hold: a number that no other write carries, and bytes that prove it whole.

Pure. A body that is torn, mixed or foreign is told from a good one, so that "read back" means every
byte.
"""

from __future__ import annotations

import hashlib

SIZE_BYTES_MIN = 96
GARBAGE = -1
"""What a read saw that no write of this drill could have left."""


def body_of(salt: str, value: int, size_bytes: int) -> bytes:
    """The bytes that the write of this value carries."""
    head = f"{salt}:{value}:{size_bytes}:".encode()
    fill = hashlib.sha256(head).digest()
    return (head + fill * (size_bytes // len(fill) + 1))[: max(size_bytes, len(head) + len(fill))]


def value_of(salt: str, body: bytes) -> int:
    """The value that these bytes carry, or GARBAGE if they are not exactly those of a write."""
    parts = body[:SIZE_BYTES_MIN].split(b":", 3)
    try:
        value, size_bytes = int(parts[1]), int(parts[2])
    except (IndexError, ValueError):
        return GARBAGE
    return value if value > 0 and body == body_of(salt, value, size_bytes) else GARBAGE
