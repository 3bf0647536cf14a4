#!/usr/bin/env python3
"""The one door to every process and command of Holdfast.

Processes that never touch Django (a node, telemetry, the supervisor) are started before Django is
imported: a node that must be back within half a second can't wait for an application registry.
Everything else is an ordinary Django management command.
"""

import importlib
import os
import sys

# Command -> module with main(argv) -> exit code or None.
WITHOUT_DJANGO = {
    "up": "storage_core.fleet.main",
    "status": "storage_core.fleet.status",
    "rescue": "storage_core.fleet.rescue",
    "blob": "storage_core.fleet.blob",
    "node": "storage_core.node",
    "telemetry": "telemetry.serve",
    "profiler": "telemetry.profiling.helper",
    "workload": "storage_core.workload",
}


def main(argv: list[str]) -> int:
    command = argv[1] if len(argv) > 1 else "help"
    if command in WITHOUT_DJANGO:
        module = importlib.import_module(WITHOUT_DJANGO[command])
        return int(module.main(argv[2:]) or 0)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    management = importlib.import_module("django.core.management")
    management.execute_from_command_line(argv)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
