"""Where and how this store runs, and every limit that it keeps.

The settings are those of the whole fleet, so they are read in one place (`telemetry.config`) and
only handed on here. A limit stands here with its unit and its reason, and nowhere else; pure
modules are given the ones they need.

Read next: `telemetry.config` for the table of settings, docs/guide/settings.md for their meaning.
"""

from __future__ import annotations

import base64
from typing import Final

from telemetry.config import SettingError, Settings, read_secret

__all__ = [
    "SettingError",
    "Settings",
    "read_secret",
    "HOST",
    "EMULATOR_ACCOUNT",
    "EMULATOR_KEY",
    "GROUP_ID",
    "SEGMENT_SIZE_BYTES",
    "INLINE_BODY_BYTES_MAX",
    "CHUNK_SIZE_BYTES",
    "UPLOAD_WINDOW_BYTES",
    "PEER_IN_FLIGHT_BYTES_MAX",
    "PEER_IN_FLIGHT_MESSAGES_MAX",
    "CACHE_SIZE_BYTES",
    "PARK_MS_MAX",
    "EXIT_DISK_FAILED",
    "EXIT_FOUND_WRONG",
    "EXIT_REFUSED",
    "BEAT_INTERVAL_MS",
    "BEAT_MISSING_MS",
    "SOCKET_PATH_BYTES_MAX",
]

HOST: Final = "127.0.0.1"
"""All ports are loopback until somebody puts a proxy in front of them on purpose."""

GROUP_ID: Final = 1
"""One Raft group a cluster (ADR 001); the number stands in every format so more can come."""

SEGMENT_SIZE_BYTES: Final = 256 << 20
"""Large enough that a rename or an fsync of the folder is rare, small enough to copy at once."""

INLINE_BODY_BYTES_MAX: Final = 256 << 10
"""Up to here a body rides in its command's entry; above, one flush would stall the loop."""

CHUNK_SIZE_BYTES: Final = 256 << 10
"""Bodies above the inline limit arrive as entries of this size; smaller costs CPU a record."""

UPLOAD_WINDOW_BYTES: Final = 2 << 20
"""Chunks of one upload that may wait for a quorum: hides one flush at 500 MB/s."""

PEER_IN_FLIGHT_BYTES_MAX: Final = 4 << 20
"""More would make a heartbeat wait behind bodies (measured: 633 ms behind 256 MiB)."""

PEER_IN_FLIGHT_MESSAGES_MAX: Final = 16
"""Enough to fill one round trip with batches of small records."""

CACHE_SIZE_BYTES: Final = 256 << 20
"""Verified bodies in memory, per node; the page cache holds the rest."""

PARK_MS_MAX: Final = 5_000
"""How long the front door holds a request across a leader change before it answers 503."""

EXIT_DISK_FAILED: Final = 70
"""Exit code of a node whose write or flush failed; it acknowledges nothing after."""

EXIT_FOUND_WRONG: Final = 71
"""Exit code of a node that failed one of its own assertions: better silent than wrong."""

EXIT_REFUSED: Final = 78
"""Exit code of a node whose home, data or settings don't fit; a restart alone won't help."""

BEAT_INTERVAL_MS: Final = 100
"""How often a node tells the supervisor that it lives; ten small datagrams a second."""

BEAT_MISSING_MS: Final = 400
"""Silence after which a node gets no new connections: three lost beats and a late fourth."""

SOCKET_PATH_BYTES_MAX: Final = 100
"""The kernel takes 107 bytes for a Unix socket's path; some room is left for its name."""

EMULATOR_ACCOUNT: Final = "devstoreaccount1"
EMULATOR_KEY: Final = base64.b64decode(
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""The published account of every Blob emulator: a fact of the protocol, good on loopback only."""
