"""The real front end on a real loopback socket, its loop on a thread, over a SoloStore."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TypeVar

import uvloop

from storage_core.frontend.front import FrontEnd
from storage_core.frontend.limits import Limits
from telemetry import names
from telemetry.config import Settings
from telemetry.tracing import Recorder
from tests.storage_core.frontend.solo import ACCOUNT, EMULATOR_KEY, SoloStore

T = TypeVar("T")


class Serving:
    """Context: serves within it, and leaves no task, thread or socket behind."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.is_leaving = False
        self.port = 0
        self.store: SoloStore
        self.front: FrontEnd
        self.recorder = Recorder(names.SERVICE_STORE, "node-0", Settings.from_environment({}))
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="front end")

    def __enter__(self) -> Serving:
        self._thread.start()
        self.wait(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self.wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        self.store = SoloStore()
        self.front = FrontEnd(
            self.store, self.recorder, self.limits, account_limits=self.store.catalog.limits
        )
        factory = self.front.protocol_factory(leaving=lambda: self.is_leaving, loopback_only=True)
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._server = await self._loop.create_server(factory, sock=listener)

    async def _close(self) -> None:
        self._server.close()
        if self.store.held:
            self.store.release()
        await self.front.drain(0.2)

    def begin(self, work: Coroutine[None, None, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[None, None, T]) -> T:
        return self.begin(work).result(20)

    def on_loop(self, function: Callable[[], T]) -> T:
        """Run `function` where the front end runs."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(function())
            except BaseException as error:
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(20)

    def until(self, holds: Callable[[], bool], *, within_s: float = 5.0) -> None:
        """Return when `holds()` on the loop; fail if it doesn't in time."""

        reached: Future[None] = Future()

        def check() -> None:
            if holds():
                reached.set_result(None)
            elif not reached.cancelled():
                self._loop.call_later(0.002, check)

        self._loop.call_soon_threadsafe(check)
        try:
            reached.result(within_s)
        finally:
            reached.cancel()

    @property
    def connection_string(self) -> str:
        return (
            "DefaultEndpointsProtocol=http;AccountName=%s;AccountKey=%s;"
            "BlobEndpoint=http://127.0.0.1:%d/%s;" % (ACCOUNT, EMULATOR_KEY, self.port, ACCOUNT)
        )
