"""Every bound of the front end, in one place, each with its reason.

What a client sends is refused or slowed down at a bound; it never grows our memory past one. A
field is a setting of one front end so that a test can reach its bound in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

# The oldest x-ms-version whose rules we follow. There is no newest: a newer client is served by
# the rules we know, because an SDK that is refused for its age can do nothing about it.
VERSION_MIN = "2019-12-12"

# An XML body: a block list of 50,000 ids of 64 bytes in base64 needs about 6 MiB.
DOCUMENT_BYTES_MAX = 8 * MIB
# XML above this is parsed on a thread, to keep the loop's slices under 5 ms.
DOCUMENT_INLINE_BYTES_MAX = 32 * KIB

# Names of a listing that are read before others get their turn: under 5 ms of the loop.
LIST_SLICE_COUNT_MAX = 200
# An answer up to this size is joined to its head: copying it costs less than a second system call.
ONE_WRITE_BYTES_MAX = 64 * KIB
# A read up to this size is answered without a task if all of it is in memory.
AT_ONCE_BYTES_MAX = 512 * KIB
# How much of a blob's extents a reader holds: 2,048 chunks.
PIECE_WINDOW_BYTES = 512 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    # A request head. Azure's own is 48 KiB of headers; httptools alone would take a megabyte.
    header_bytes_max: int = 64 * KIB
    header_count_max: int = 256
    # A peer that sends its head slower than this is stuck or hostile.
    header_s: float = 10.0
    # No byte of a body for this long, while we would have read it.
    body_idle_s: float = 30.0
    # A body that is kept until it's whole (at most 256 KiB, or a document) comes within this.
    whole_body_s: float = 60.0
    # A reader that takes no byte of an answer for this long.
    write_idle_s: float = 60.0
    # SDK pools keep connections; one closed under a pooled client may cost it a 15 s retry.
    keep_alive_s: float = 600.0
    # After a refusal we read on this long, so that the answer isn't lost to a reset.
    linger_s: float = 2.0
    # A refused body up to this size is swallowed and the connection lives on.
    swallow_bytes_max: int = MIB
    connection_count_max: int = 4096
    # Body bytes of one upload that are received and not yet replicated, and of all together.
    upload_window_bytes: int = 2 * MIB
    unreplicated_bytes_max: int = 64 * MIB
    # A pause of the writer before we read more of a blob from the store.
    write_buffer_bytes: int = 512 * KIB
    # How long a request may wait for the store, if the client names no shorter `timeout`.
    request_s: float = 30.0
    # Pages of a listing, as Azure.
    page_count_max: int = 5000
    # The range that a client may ask a checksum for, as Azure.
    checked_range_bytes_max: int = 4 * MIB
