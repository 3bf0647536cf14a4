"""Demo traffic: what storage for AI looks like, so that an empty fleet has something to show.

Three kinds share one store and disturb each other, as they do for real: a training job saves a
checkpoint in a burst once a minute, its data loader reads a shuffled dataset without end, and an
inference service keeps small key-value-cache blobs in motion. The client is the vendor's own,
unmodified; only its public retry setting differs, since its default first waits 15 s.

What always holds: at most KEPT_BYTES_MAX stay stored, whoever runs this and however often; nothing
that the store does ends this process; while the file `run/demo.paused` exists nothing is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import aiohttp
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient, ContainerClient, LinearRetry

from storage_core.config import HOST, SettingError, Settings
from storage_core.fleet.beats import BeatSender

ACCOUNT: Final = "devstoreaccount1"
# The emulator's key is public by design, and accepted on loopback only.
PUBLIC_KEY: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
KEPT_BYTES_MAX: Final = 768 << 20
"""A demo must not fill a laptop; three replicas make three times this on disk."""

CACHE_BLOBS: Final = 2_000
"""Names of cache blobs; each is overwritten when its turn comes again."""

DATASET_BLOBS: Final = 64
CACHE_OPERATIONS_PER_S: Final = 24.0
CACHE_READ_SHARE: Final = 0.6
DATASET_READS_PER_S: Final = 2.0
CHECKPOINT_EVERY_S: Final = 60.0
CHECKPOINT_SHARDS: Final = 4
LIST_EVERY_S: Final = 5.0
IN_FLIGHT_MAX: Final = 16
"""When the store is this far behind, further operations are left out, not piled up."""

# The SDK takes fractions of a second here, though it declares whole ones.
RETRY_SETTING: Final[Mapping[str, Any]] = {
    "backoff": 0.1,
    "random_jitter_range": 0.05,
    "retry_total": 50,
}
AFTER_FAILURE_S: Final = 1.0
PAUSE_LOOK_S: Final = 0.5
BEAT_S: Final = 0.5
REPORT_EVERY_S: Final = 60.0
KIB: Final = 1 << 10
MIB: Final = 1 << 20

FAILURES: Final = (AzureError, aiohttp.ClientError, OSError, TimeoutError)


class Stored(NamedTuple):
    """A checkpoint blob that counts against what may be kept."""

    name: str
    size_bytes: int


def choose_evictions(
    kept: Sequence[Stored], *, coming_bytes: int, budget_bytes: int
) -> Sequence[Stored]:
    """The oldest of `kept` that must go so that `coming_bytes` more fit the budget."""
    excess = sum(blob.size_bytes for blob in kept) + coming_bytes - budget_bytes
    victims: list[Stored] = []
    for blob in kept:
        if excess <= 0:
            break
        victims.append(blob)
        excess -= blob.size_bytes
    return victims


class Workload:
    """One client and its three kinds of traffic."""

    def __init__(self, settings: Settings, service: BlobServiceClient, seed: int) -> None:
        self._paused = settings.run / "demo.paused"
        self._service = service
        self._random = random.Random(seed)
        self._bytes = os.urandom(2 * MIB) * 5
        self._cache_written: deque[str] = deque(maxlen=CACHE_BLOBS)
        self._checkpoints: deque[Stored] = deque()
        self._in_flight = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._tasks: set[asyncio.Task[bool]] = set()
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Prepare what is read, then send traffic until the process is ended."""
        await self._until_done(self._prepare)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_time(CACHE_OPERATIONS_PER_S, self._touch_cache))
            group.create_task(self._keep_time(DATASET_READS_PER_S, self._read_dataset))
            group.create_task(self._keep_time(1 / LIST_EVERY_S, self._list_cache))
            group.create_task(self._checkpoint_for_ever())

    # -- pace -------------------------------------------------------------------------------

    async def _keep_time(self, rate_per_s: float, operation: Callable[[], Awaitable[None]]) -> None:
        """Start operations at random moments of this mean rate, whether or not earlier ended."""
        while True:
            await asyncio.sleep(self._random.expovariate(rate_per_s))
            if self._paused.exists():
                await asyncio.sleep(PAUSE_LOOK_S)
            elif self._in_flight.locked():
                self.counts["left out"] += 1
            else:
                task = asyncio.create_task(self._attempt(operation))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _attempt(self, operation: Callable[[], Awaitable[None]]) -> bool:
        """True if the operation ended well; a failure is counted and named, never raised."""
        async with self._in_flight:
            try:
                await operation()
            except FAILURES as error:
                self.counts["failed"] += 1
                if self.counts["failed"] % 100 == 1:
                    report(f"an operation failed: {error!s:.200}")
                return False
        self.counts["done"] += 1
        return True

    async def _until_done(self, operation: Callable[[], Awaitable[None]]) -> None:
        done = False
        while not done:
            if not self._paused.exists():
                done = await self._attempt(operation)
            if not done:
                await asyncio.sleep(AFTER_FAILURE_S)

    # -- what is done -----------------------------------------------------------------------

    def _body(self, size_bytes: int) -> bytes:
        start = self._random.randrange(len(self._bytes) - size_bytes + 1)
        return self._bytes[start : start + size_bytes]

    def _container(self, name: str) -> ContainerClient:
        return self._service.get_container_client(name)

    async def _prepare(self) -> None:
        for name in ("kv-cache", "dataset", "checkpoints"):
            with contextlib.suppress(ResourceExistsError):
                await self._service.create_container(name)
        found = [
            (blob.last_modified, Stored(blob.name, blob.size))
            async for blob in self._container("checkpoints").list_blobs()
        ]
        self._checkpoints = deque(blob for _, blob in sorted(found))
        dataset = self._container("dataset")
        have = {blob.name async for blob in dataset.list_blobs()}
        for number in range(DATASET_BLOBS):
            name = f"shard-{number:04}"
            if name not in have:
                size_bytes = int(100 * KIB * 10 ** self._random.random())
                await dataset.upload_blob(name, self._body(size_bytes), overwrite=True)

    async def _touch_cache(self) -> None:
        container = self._container("kv-cache")
        if self._cache_written and self._random.random() < CACHE_READ_SHARE:
            name = self._random.choice(self._cache_written)
            with contextlib.suppress(ResourceNotFoundError):
                await (await container.download_blob(name)).readall()
            return
        name = f"block-{self.counts['cache writes'] % CACHE_BLOBS:05}"
        self.counts["cache writes"] += 1
        size_bytes = int(4 * KIB * 16 ** self._random.random())
        await container.upload_blob(name, self._body(size_bytes), overwrite=True)
        self._cache_written.append(name)

    async def _read_dataset(self) -> None:
        name = f"shard-{self._random.randrange(DATASET_BLOBS):04}"
        download = await self._container("dataset").download_blob(name)
        self.counts["bytes read"] += len(await download.readall())

    async def _list_cache(self) -> None:
        prefix = f"block-{self._random.randrange(10):02}"
        async for _ in self._container("kv-cache").list_blobs(name_starts_with=prefix):
            pass

    async def _checkpoint_for_ever(self) -> None:
        number = time.time_ns() // 1_000_000_000
        while True:
            number += 1
            if not self._paused.exists():
                await self._checkpoint(number)
            await asyncio.sleep(CHECKPOINT_EVERY_S * self._random.uniform(0.8, 1.2))

    async def _checkpoint(self, number: int) -> None:
        shard_bytes = int(2 * MIB * 4 ** self._random.random())
        shards = range(self._random.randint(CHECKPOINT_SHARDS, 2 * CHECKPOINT_SHARDS))
        await self._make_room(len(shards) * shard_bytes)
        for shard in shards:
            name = f"step-{number:012}/shard-{shard:02}"

            async def save(name: str = name) -> None:
                body = self._body(shard_bytes)
                await self._container("checkpoints").upload_blob(name, body, overwrite=True)
                self._checkpoints.append(Stored(name, shard_bytes))

            if not await self._attempt(save):
                return

    async def _make_room(self, coming_bytes: int) -> None:
        reserve_bytes = CACHE_BLOBS * 64 * KIB + DATASET_BLOBS * MIB
        victims = choose_evictions(
            tuple(self._checkpoints),
            coming_bytes=coming_bytes,
            budget_bytes=KEPT_BYTES_MAX - reserve_bytes,
        )
        for victim in victims:

            async def delete(name: str = victim.name) -> None:
                with contextlib.suppress(ResourceNotFoundError):
                    await self._container("checkpoints").delete_blob(name)

            await self._until_done(delete)
            self._checkpoints.popleft()


def report(line: str) -> None:
    """One line for the log; that it can't be written is no reason to stop."""
    with contextlib.suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


async def _beat(sender: BeatSender, workload: Workload) -> None:
    while True:
        sender.send(role="", ready=workload.counts["done"] > 0)
        await asyncio.sleep(BEAT_S)


async def _report(workload: Workload) -> None:
    while True:
        await asyncio.sleep(REPORT_EVERY_S)
        counts = sorted(workload.counts.items())
        report(", ".join(f"{name} {count}" for name, count in counts))


async def run(settings: Settings) -> None:
    """Send traffic for ever."""
    service = BlobServiceClient(
        f"http://{HOST}:{settings.blob_port}/{ACCOUNT}",
        credential={"account_name": ACCOUNT, "account_key": PUBLIC_KEY},
        retry_policy=LinearRetry(**RETRY_SETTING),
    )
    sender = BeatSender(settings.run, "workload")
    async with service:
        workload = Workload(settings, service, seed=time.time_ns())
        async with asyncio.TaskGroup() as group:
            group.create_task(_beat(sender, workload))
            group.create_task(_report(workload))
            group.create_task(workload.run())


def main(argv: Sequence[str]) -> int:
    """The exit code of `manage.py workload`, which ends by a signal only."""
    if argv:
        report("usage: manage.py workload   (touch run/demo.paused in the home to pause it)")
        return 0 if list(argv) in (["-h"], ["--help"]) else 2
    try:
        settings = Settings.from_environment()
    except SettingError as error:
        report(f"can't start: {error}")
        return 1
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(settings))
    return 0
