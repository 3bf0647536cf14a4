"""The telemetry process: `python -m telemetry.serve`.

It receives (4318), keeps, and answers (4319). Its three kinds of work never wait for each other:
the loop receives and serves what lies in memory, one thread writes the store, two read it. It
runs five steps nicer than the rest, since evidence must not slow the patient down.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from clickhouse_connect.driver.exceptions import ClickHouseError

from telemetry import logs, names
from telemetry.bootstrap import SWITCH_INTERVAL_S
from telemetry.config import Settings, read_secret
from telemetry.receiver.app import BODY_BYTES_MAX, Receiver
from telemetry.receiver.http import HttpServer, Refused
from telemetry.receiver.rings import SECONDS_KEPT, Rings
from telemetry.receiver.spool import Spool
from telemetry.store import port
from telemetry.store.port import QueryPort
from telemetry.store.writer import Writer

NICENESS: Final = 5
STOP_S_MAX: Final = 5.0
RECALLED_AT_ONCE: Final = 100
"""Seconds of the past between two turns of the loop: about a millisecond."""

log = logging.getLogger(__name__)


class Ports(NamedTuple):
    """Where the process listens."""

    otlp: int
    query: int


class Service:
    """All parts of the process, put together."""

    def __init__(self, settings: Settings, *, host: str) -> None:
        self._settings = settings
        self._host = host
        folder = settings.telemetry_folder
        store = folder / "store"
        self._spool = Spool(folder / "spool")
        self._rings = Rings()
        self._writer = Writer(
            folder=store,
            spool_=self._spool,
            keep_hours=settings.telemetry_hours,
            keep_bytes=settings.telemetry_size_mb * 1_000_000,
        )
        self._receiver = Receiver(spool_=self._spool, rings=self._rings, token=self._token)
        self._port = QueryPort(
            folder=store,
            writer=self._writer,
            spool_=self._spool,
            rings_=self._rings,
            receiver=self._receiver,
            token=self._token,
        )
        self._otlp = HttpServer(self._receiver.answer, body_bytes_max=BODY_BYTES_MAX)
        self._query = HttpServer(self._port.answer, body_bytes_max=port.BODY_BYTES_MAX)
        self._recalling: asyncio.Task[None] | None = None

    def _token(self) -> str:
        return read_secret(self._settings.secrets / "otlp.token")

    async def start(self) -> Ports:
        """Listen first: what arrives while the engine opens waits in the spool."""
        ports = Ports(
            await self._otlp.listen(self._host, self._settings.otlp_port),
            await self._query.listen(self._host, self._settings.query_port),
        )
        self._writer.start()
        self._recalling = asyncio.create_task(self._recall(time.time_ns() // 1_000_000))
        return ports

    async def _recall(self, started_ms: int) -> None:
        """Give the rings the past that they had in the process before. Without it they begin now,
        which is worse but works, so a store that fails is only told of.
        """
        try:
            await asyncio.wrap_future(self._writer.caught_up)
            past = await self._port.past(started_ms - SECONDS_KEPT * 1000, started_ms)
        except (Refused, ClickHouseError, OSError) as error:
            log.warning("the past of the rings is not known", extra={"error": str(error)[:300]})
            return
        for at in range(0, len(past), RECALLED_AT_ONCE):
            self._rings.recall(past[at : at + RECALLED_AT_ONCE])
            await asyncio.sleep(0)  # Let what comes in now be taken.
        log.info("past of the rings read back", extra={"node_seconds": len(past)})

    async def stop(self) -> None:
        """Take nothing more, store what was taken."""
        if self._recalling is not None:
            self._recalling.cancel()
        await self._otlp.close()
        await self._query.close()
        self._receiver.close()
        self._port.close()
        await asyncio.get_running_loop().run_in_executor(None, self._writer.stop, STOP_S_MAX)


async def serve(settings: Settings, *, host: str, ports_file: Path | None) -> None:
    """Run until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    service = Service(settings, host=host)
    ports = await service.start()
    log.info("telemetry serves", extra={"otlp_port": ports.otlp, "query_port": ports.query})
    if ports_file is not None:
        partial = ports_file.with_suffix(".partial")
        partial.write_text(json.dumps(ports._asdict()), encoding="ascii")
        partial.rename(ports_file)
    await stopping.wait()
    await service.stop()


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m telemetry.serve", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--any-port", action="store_true", help="let the system choose ports")
    parser.add_argument("--ports-file", type=Path, help="write the ports here, as JSON")
    options = parser.parse_args(arguments)
    settings = Settings.from_environment()
    if options.any_port:
        settings = settings.with_ports(otlp_port=0, query_port=0)
    os.nice(NICENESS)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    logs.configure(names.SERVICE_TELEMETRY, "telemetry")
    uvloop.run(serve(settings, host=options.host, ports_file=options.ports_file))


if __name__ == "__main__":
    main()
