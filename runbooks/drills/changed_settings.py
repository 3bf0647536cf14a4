"""What a drill changed in a node's settings, on disk, so that anybody can put it back.

A setting has no lease; so what it was is written down before it is changed, and taken off the list
only when it is back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from storage_core.client import FleetClient
from storage_core.errors import NodeUnreachable, OrderRefused
from telemetry.config import Settings

_BOOK = "drill-settings.json"


def note(run_folder: Path, node: int, before: Mapping[str, int]) -> None:
    """Write down what was in force. Raises OSError: then nothing may be changed."""
    draft = run_folder / f".{_BOOK}.new"
    draft.write_text(json.dumps({"node": node, "before": dict(before)}), encoding="utf-8")
    draft.replace(run_folder / _BOOK)


def put_back(settings: Settings) -> bool:
    """Restore what is written down. False if the node did not take it; then it stays written."""
    path = settings.run / _BOOK
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        node, before = int(told["node"]), dict(told["before"])
    except (OSError, ValueError, KeyError, TypeError):
        return True
    client = FleetClient(settings)
    try:
        for name, value in before.items():
            client.configure(node, str(name), int(value))
    except (NodeUnreachable, OrderRefused):
        return False
    path.unlink(missing_ok=True)
    return True
