"""`python -m tests.drills.planted BUG N`: node N as the product starts it, but for the bug."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from storage_core.node import Node
from storage_core.startup import open_node, read_cluster
from telemetry import bootstrap, names
from telemetry.config import Settings
from tests.drills.planted.bugs import plant


async def _serve(settings: Settings, bug: str, node: int) -> None:
    cluster = read_cluster(settings.home)
    telemetry = bootstrap.start(names.SERVICE_STORE, f"node-{node}", settings)
    opened = plant(bug, open_node(settings, node, cluster))
    loop = asyncio.get_running_loop()
    try:
        await Node(loop, settings, node, cluster, opened, telemetry).run()
    finally:
        telemetry.stop()
        opened.lock.release()


if __name__ == "__main__":
    uvloop.run(_serve(Settings.from_environment(), sys.argv[1], int(sys.argv[2])))
