"""One tenant that takes all it can get: a drill's own process, through the front door.

It ends when its standard input does, so that it can't outlive the drill, and after a time that it
is given in any case. What it writes is overwritten again and again, and belongs to its own account.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import sys
import time

from runbooks.drills import wire
from runbooks.drills.wire import Connection, Identity

CONTAINER = "flood"
CONNECTIONS = 24
BLOBS = 200
BODY = os.urandom(16 * 1024)
ASK_S_MAX = 10.0


async def _write(port: int, tenant: Identity, number: int, until_s: float) -> None:
    connection = Connection(port)
    count = 0
    while time.monotonic() < until_s:
        count += 1
        path = f"{CONTAINER}/{number}-{count % BLOBS}"
        try:
            await connection.ask(wire.put(path, BODY, identity=tenant), timeout_s=ASK_S_MAX)
        except (OSError, TimeoutError, ValueError, wire.NotSent):
            await asyncio.sleep(0.05)
    connection.close()


async def _flood(port: int, tenant: Identity, seconds: float) -> None:
    until_s = time.monotonic() + seconds
    connection = Connection(port)
    request = wire.container("PUT", CONTAINER, identity=tenant)
    with contextlib.suppress(OSError, TimeoutError, ValueError, wire.NotSent):
        await connection.ask(request, timeout_s=ASK_S_MAX)
    connection.close()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    writers = [
        asyncio.create_task(_write(port, tenant, number, until_s)) for number in range(CONNECTIONS)
    ]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await ended.wait()
    for writer in writers:
        writer.cancel()
    await asyncio.gather(*writers, return_exceptions=True)


def main(port: int, account: str, seconds: float) -> None:
    """The first line of standard input is the account's key: it must not stand in the arguments."""
    key = base64.b64decode(sys.stdin.readline().strip())
    asyncio.run(_flood(port, Identity(account, key), seconds))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
