"""Where and how this store runs, and what its processes agree on.

The settings are those of the whole fleet, so they are read in one place (`telemetry.config`) and
only handed on here. What stands here is shared by nodes and supervisor; a limit of one part stands
with that part (`core.Limits`, `frontend.limits`, `catalog.commands`), with its unit and reason.

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
    "CANARY_ACCOUNT",
    "read_canary_key",
    "GROUP_ID",
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

CANARY_ACCOUNT: Final = "holdfastcanary"
"""Our own probe's account. Its requests are counted apart, so that no user's objective has them."""


def read_canary_key(settings: Settings) -> bytes | None:
    """The key of the canary's account, `secrets/canary.key` in base64; None: nobody made it."""
    text = read_secret(settings.secrets / "canary.key")
    try:
        return base64.b64decode(text, validate=True) if text else None
    except ValueError:
        raise SettingError("HOLDFAST_HOME", str(settings.home), "base64 in canary.key") from None
