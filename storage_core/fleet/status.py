"""`manage.py status`: what runs and how the nodes are, with everything else down.

It asks the supervisor's socket and the nodes' admin ports and nothing else: no database, no broker,
no telemetry. What doesn't answer is shown as not answering, never left out and never as well.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from storage_core.client import FleetClient, NodeStatus
from storage_core.config import SettingError, Settings
from storage_core.errors import NodeUnreachable
from storage_core.fleet.client import SupervisorAway, ask
from storage_core.fleet.registry import RUNNING


def main(argv: Sequence[str]) -> int:
    """0 if every part runs and every node answers; 1 if not, or if nobody can tell."""
    if argv:
        sys.stdout.write("usage: manage.py status\n")
        return 0 if list(argv) in (["-h"], ["--help"]) else 2
    try:
        settings = Settings.from_environment()
    except SettingError as error:
        sys.stdout.write(f"{error}\n")
        return 2
    registry, away = _ask_supervisor(settings)
    statuses = FleetClient(settings).statuses()
    lines = [away] if away else [describe_part(name, part) for name, part in registry.items()]
    lines += [describe_node(node, status) for node, status in statuses.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    parts_run = bool(registry) and all(part["state"] == RUNNING for part in registry.values())
    nodes_answer = all(isinstance(status, NodeStatus) for status in statuses.values())
    return 0 if parts_run and nodes_answer else 1


def _ask_supervisor(settings: Settings) -> tuple[Mapping[str, Any], str]:
    try:
        return ask(settings.run, "registry"), ""
    except SupervisorAway as error:
        return {}, f"supervisor  does not answer ({error})"


def describe_part(name: str, part: Mapping[str, Any]) -> str:
    """One line of the registry."""
    ready = "" if part["ready"] else ", not ready"
    process = f", process {part['pid']}" if part["pid"] else ""
    return f"{name:<11} {part['state']}{ready}{process}, restarted {part['restarts']} times"


def describe_node(node: int, status: NodeStatus | NodeUnreachable) -> str:
    """One line about what a node says of itself."""
    if isinstance(status, NodeUnreachable):
        return f"node-{node}      {status}"
    drained = ", drained" if status.drained else ""
    follows = "" if status.leader is None else f", leader is node-{status.leader}"
    return (
        f"node-{node}      {status.role}{drained} in term {status.term}{follows}; "
        f"committed {status.commit_index}, applied {status.applied_index}, "
        f"{'in' if status.is_in_front_door else 'not in'} the front door"
    )
