"""The front end's whole view of the store.

The front end speaks HTTP and Azure's words; it knows nothing of leaders, logs or disks. What it
may ask stands here: submit a command, wait for a linearizable read point, look at rows, read a
body. The node implements it for real; tests of the front end may run it over one node's catalog.

Each question that a hot request asks has two forms. The coroutine is for requests that are tasks
already. The `_then` form is for those that need none: it takes a callback, and a task costs more
than the whole answer from memory. Both keep the same promises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from storage_core.catalog.commands import Command, Outcome
    from storage_core.catalog.view import CatalogView
    from storage_core.errors import StoreError
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

    def submit_then(
        self,
        command: Command,
        body: bytes | memoryview,
        body_crc: int,
        *,
        clock: StageClock,
        deadline_us: int,
        on_done: Callable[[Outcome | StoreError], None],
    ) -> None:
        """`submit` without a task: the same work, and its outcome or its error goes to `on_done`.

        Called exactly once, on the event loop; maybe before this returns. Raises nothing itself,
        and an exception out of `on_done` must not reach whoever else waits for the same batch.
        """

    def precheck(self, command: Command) -> str:
        """An Azure error code if the command is certain to be refused now, else ""."""

    async def read_barrier(self, *, clock: StageClock, deadline_us: int) -> None:
        """Return when `view()` shows every write acknowledged before the call."""

    def can_read_now(self) -> bool:
        """True if `view()` shows every acknowledged write at this instant; costs no I/O.

        On a leader: the lease is valid by a clock read now, and all that is committed is applied.
        """

    def read_barrier_then(
        self,
        *,
        clock: StageClock,
        deadline_us: int,
        on_ready: Callable[[StoreError | None], None],
    ) -> None:
        """`read_barrier` without a task. `on_ready` is called once, as for `submit_then`."""

    def view(self) -> CatalogView:
        """Rows as applied on this node."""

    def read_cached(self, extent: Extent) -> bytes | None:
        """A whole record body, verified, if it's to be had without waiting; else None.

        From the cache, or from the page cache by a read that refuses to block.
        """

    async def read(self, extent: Extent, *, clock: StageClock) -> bytes:
        """A whole record body, its checksum verified. Raises `DamagedBody`."""

    async def replication_stages(self, index: int) -> Sequence[RemoteStage]:
        """Each node's stages for the write at `index`; waits up to 1 s for late ones."""

    def upload_id(self) -> bytes:
        """A fresh 16-byte id for the chunks of one upload."""
