"""The real supervisor over a table of tiny parts. Usage: python -m tests.fleet.tiny_fleet"""

import sys

from storage_core.config import Settings
from storage_core.fleet.home import prepare_home
from storage_core.fleet.main import run_locked
from storage_core.fleet.parts import Part
from storage_core.fleet.probes import SaysReady


def table(settings: Settings) -> tuple[Part, ...]:
    nodes = tuple(
        Part(
            name=f"node-{number}",
            command=(sys.executable, "-m", "tests.fleet.tiny_node", str(number)),
            probe=SaysReady(),
            stop_wave=3,
            node=number,
            restart_at_once=True,
        )
        for number in range(settings.nodes)
    )
    return (
        *nodes,
        Part(
            name="later",
            command=(sys.executable, "-m", "tests.fleet.tiny_part", "later"),
            probe=SaysReady(),
            after=tuple(node.name for node in nodes),
        ),
    )


def main() -> int:
    settings = Settings.from_environment()
    prepare_home(settings)
    return run_locked(settings, table(settings), greet=False)


sys.exit(main())
