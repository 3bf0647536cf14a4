"""The front end's whole view of the store.

The front end speaks HTTP and Azure's words; it knows nothing of leaders, logs or disks. What it
may ask stands here: submit a command, wait for a linearizable read point, look at rows, read a
body. The node implements it for real; tests of the front end may run it over one node's catalog.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from storage_core.catalog.commands import Command, Outcome
    from storage_core.catalog.view import CatalogView
    from storage_core.log.format import Extent
    from telemetry.tracing import StageClock


class RemoteStage(NamedTuple):
    """What one node did for one write, on the monotonic clock of the leader, in nanoseconds."""

    node: int
    stage: int
    start_ns: int
    end_ns: int
    batch_id: int


class Store(Protocol):
    """Everything raises `storage_core.errors.StoreError` leaves, and nothing else."""

    node: int

    async def submit(
        self,
        command: Command,
        body: bytes | memoryview,
        body_crc: int,
        *,
        clock: StageClock,
        deadline_us: int,
    ) -> Outcome:
        """Replicate and apply one command, exactly once.

        Forwards to the leader, parks across leader changes, and resends under one operation id
        until `deadline_us` (monotonic). A returned outcome is durable on a quorum. Raises
        `Unavailable` with outcome "none" or "unknown" when the deadline passes.
        """

    def precheck(self, command: Command) -> str:
        """An Azure error code if the command is certain to be refused now, else ""."""

    async def read_barrier(self, *, clock: StageClock, deadline_us: int) -> None:
        """Return when `view()` shows every write acknowledged before the call."""

    def view(self) -> CatalogView:
        """Rows as applied on this node."""

    def read_cached(self, extent: Extent) -> bytes | None:
        """A verified body from memory, or None."""

    async def read(self, extent: Extent, *, clock: StageClock) -> bytes:
        """A whole record body, its checksum verified. Raises `DamagedBody`."""

    async def replication_stages(self, index: int) -> Sequence[RemoteStage]:
        """Each node's stages for the write at `index`; waits up to 1 s for late ones."""

    def upload_id(self) -> bytes:
        """A fresh 16-byte id for the chunks of one upload."""
