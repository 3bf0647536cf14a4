"""All that asks the store something during a drill, started and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import TextIO

from runbooks.drills import prober, wire
from runbooks.drills.history import Kind, Operation, Outcome
from runbooks.drills.prober import Client, Recorder
from runbooks.drills.result import DOOR, READ_BACK, SDK
from telemetry.config import Settings

ROOT = Path(__file__).resolve().parents[2]
CLIENTS_A_DOOR = 2
ASK_S_MAX = 6.0
PREPARE_TRIES = 10
SDK_START_S_MAX = 20.0


class CannotPrepare(Exception):
    """The store took no container: there is nothing to drill."""


class Traffic:
    """The clients of one drill. `recorder` holds the raw ones' history."""

    def __init__(
        self, settings: Settings, *, container: str, seed: int, history: TextIO, started_s: float
    ) -> None:
        self.recorder = Recorder(history, started_s=started_s)
        self._settings = settings
        self._container = container
        self._seed = seed
        self._started_s = started_s
        self._stopped = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._sdk: asyncio.subprocess.Process | None = None
        self._sdk_lines: list[bytes] = []
        self._sdk_writes = asyncio.Event()
        self._sdk_reader: asyncio.Task[None] | None = None
        self._number = 0

    async def prepare(self) -> None:
        """Make the container. Raises CannotPrepare."""
        await self._for_container("PUT", (201, 409))

    async def clean_up(self) -> None:
        """Delete the container with all that was written; what fails is left to people."""
        with contextlib.suppress(CannotPrepare):
            await self._for_container("DELETE", (202, 404))

    async def start(self) -> None:
        """Start the vendor's client, wait for its first write, then start all others."""
        self._sdk = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runbooks.drills.sdk_client"),
            *(str(self._settings.blob_port), self._container),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._sdk_reader = asyncio.create_task(self._read_sdk())
        for node in range(self._settings.nodes):
            for _ in range(CLIENTS_A_DOOR):
                self._start_client(f"node-{node}", self._settings.own_port(node))
        for _ in range(CLIENTS_A_DOOR):
            self._start_client(DOOR, self._settings.blob_port)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SDK_START_S_MAX):
                await self._sdk_writes.wait()

    async def stop(self) -> None:
        """No new question; the answers under way are waited for."""
        self._stopped.set()
        await asyncio.gather(*self._tasks)

    async def stop_sdk(self, *, until_s: float) -> None:
        """Till then, let the vendor's client end its write, which may wait for its own retry."""
        if self._sdk is None or self._sdk_reader is None:
            return
        assert self._sdk.stdin is not None, "made with a pipe"
        self._sdk.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.1, until_s - time.monotonic())):
                await self._sdk.wait()
        if self._sdk.returncode is None:
            self._sdk.kill()
        await self._sdk.wait()
        await self._sdk_reader

    def sdk_operations(self) -> list[Operation]:
        """The vendor's client's writes, on the drill's clock."""
        found = []
        for index, line in enumerate(self._sdk_lines):
            told = json.loads(line)
            began_us, ended_us = (
                int((told[name] / 1e9 - self._started_s) * 1e6) for name in ("began_ns", "ended_ns")
            )
            found.append(
                Operation(
                    index=index,
                    client=0,
                    path=SDK,
                    kind=Kind.WRITE,
                    key="sdk",
                    value=None,
                    size_bytes=0,
                    invoked_us=began_us,
                    completed_us=ended_us,
                    outcome=Outcome.FAIL if told["error"] else Outcome.OK,
                    error=str(told["error"]),
                )
            )
        return found

    async def read_back(self) -> None:
        """Look at every key that may hold something: shared ones on each node, others on one."""
        asked = {op.key for op in self.recorder.operations if op.is_change}
        shared = sorted(key for key in asked if not key.startswith("u-"))
        single = sorted(asked - set(shared))
        clients = [
            self._client(READ_BACK, self._settings.own_port(node))
            for node in range(self._settings.nodes)
            for _ in range(CLIENTS_A_DOOR)
        ]
        try:
            await prober.read_back(clients, single, everywhere=False)
            await prober.read_back(clients[::CLIENTS_A_DOOR], shared, everywhere=True)
        finally:
            for client in clients:
                client.close()

    def _start_client(self, path: str, port: int) -> None:
        client = self._client(path, port)
        self._tasks.append(asyncio.create_task(client.run(self._stopped)))

    def _client(self, path: str, port: int) -> Client:
        self._number += 1
        return Client(
            self._number,
            path,
            port,
            container=self._container,
            recorder=self.recorder,
            seed=self._seed,
        )

    async def _read_sdk(self) -> None:
        assert self._sdk is not None and self._sdk.stdout is not None, "made with a pipe"
        async for line in self._sdk.stdout:
            if line.endswith(b"\n"):
                self._sdk_lines.append(line)
                self._sdk_writes.set()

    async def _for_container(self, method: str, good: tuple[int, ...]) -> None:
        connection = wire.Connection(self._settings.blob_port)
        reason = ""
        try:
            for _ in range(PREPARE_TRIES):
                try:
                    request = wire.container(method, self._container)
                    answer = await connection.ask(request, timeout_s=ASK_S_MAX)
                except (OSError, TimeoutError, ValueError, wire.NotSent) as error:
                    reason = str(error) or type(error).__name__
                else:
                    if answer.status in good:
                        return
                    reason = f"HTTP {answer.status}"
                await asyncio.sleep(0.3)
        finally:
            connection.close()
        raise CannotPrepare(f"{method} of container {self._container}: {reason}")
