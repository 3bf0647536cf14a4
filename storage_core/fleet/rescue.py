"""`manage.py rescue`: see and move the store with everything else dead.

At the worst moment there may be no console, no database, no supervisor: only nodes and a shell. So
this asks the nodes' admin ports and nothing else, says what it saw, and acts only upon that: a
transfer carries the leader and term that were shown, and is refused if they have changed. The same
as commands to copy stands in `rescue.md` in the home, for when even this does not start.

Exit codes: 0 done, 1 refused or not seen to have happened, 2 misunderstood.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from storage_core.client import Fence, FleetClient, NodeStatus
from storage_core.config import SettingError, Settings
from storage_core.errors import FenceRefused, NodeUnreachable, OrderRefused

SEEN_S_MAX: Final = 5.0
"""How long an order's effect is waited for: six elections."""
LOOK_EVERY_S: Final = 0.1

Found = Mapping[int, NodeStatus | NodeUnreachable]


class NotDone(Exception):
    """The order was not carried out, or nobody can see that it was; says why."""


def main(argv: Sequence[str]) -> int:
    """See the module."""
    arguments = _parser().parse_args(list(argv))
    try:
        settings = Settings.from_environment()
    except SettingError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    client = FleetClient(settings)
    problem = ""
    if arguments.order in _ORDERS:
        try:
            if not 0 <= arguments.node < settings.nodes:
                raise NotDone(f"NODE: must be a number from 0 to {settings.nodes - 1}")
            _ORDERS[arguments.order](client, arguments.node)
        except (NotDone, OrderRefused, NodeUnreachable) as error:
            problem = _words(error)
    found = client.statuses()
    if arguments.json:
        sys.stdout.write(json.dumps(as_json(found, problem), indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in describe(found)))
        if problem:
            sys.stderr.write(f"not done: {problem}\n")
    leads = any(isinstance(s, NodeStatus) and s.role == "leader" for s in found.values())
    return 0 if not problem and leads else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="manage.py rescue", description="See and move the store through its nodes alone."
    )
    parser.set_defaults(json=False)  # without an order it is a list
    orders = parser.add_subparsers(dest="order")
    for name, help_ in (
        ("list", "what each node says of itself"),
        ("transfer", "make NODE the leader, if the leader is still who it was"),
        ("drain", "let NODE neither lead nor campaign"),
        ("undrain", "let NODE lead again"),
    ):
        order = orders.add_parser(name, help=help_)
        if name != "list":
            order.add_argument("node", type=int, metavar="NODE")
        order.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def transfer(client: FleetClient, to: int) -> None:
    """Move the lead to `to`, away from the leader that is seen now."""
    leader = _leader(client.statuses())
    if leader.node == to:
        return
    client.transfer(to, fence=Fence(leader.node, leader.term))

    def leads() -> bool:
        found = client.statuses()
        status = found[to]
        return isinstance(status, NodeStatus) and status.role == "leader"

    _see(leads, f"node-{to} was not seen to lead within {SEEN_S_MAX:g} s")


def drain(client: FleetClient, node: int) -> None:
    """Drain `node`, and wait until it does not lead."""
    client.drain(node, True)

    def follows() -> bool:
        status = client.statuses()[node]
        return isinstance(status, NodeStatus) and status.drained and status.role != "leader"

    _see(follows, f"node-{node} is drained and still led after {SEEN_S_MAX:g} s; it tries on")


def undrain(client: FleetClient, node: int) -> None:
    """Let `node` lead again."""
    client.drain(node, False)


_ORDERS: Final = {"transfer": transfer, "drain": drain, "undrain": undrain}


def _leader(found: Found) -> NodeStatus:
    leaders = [s for s in found.values() if isinstance(s, NodeStatus) and s.role == "leader"]
    if not leaders:
        raise NotDone("no node says that it leads")
    return max(leaders, key=lambda status: status.term)


def _see(happened: Callable[[], bool], otherwise: str) -> None:
    give_up_s = time.monotonic() + SEEN_S_MAX
    while not happened():
        if time.monotonic() > give_up_s:
            raise NotDone(otherwise)
        time.sleep(LOOK_EVERY_S)


def _words(error: Exception) -> str:
    if isinstance(error, FenceRefused):
        return f"the lead moved meanwhile: {error}"
    return str(error)


def describe(found: Found) -> list[str]:
    """One line a node, and one that says who leads."""
    lines = []
    for node, status in found.items():
        if isinstance(status, NodeUnreachable):
            lines.append(f"node-{node}  {status}")
            continue
        flush = "-" if status.flush_p99_ms is None else f"{status.flush_p99_ms:g} ms"
        lines.append(
            f"node-{node}  {status.role}{', drained' if status.drained else ''}, "
            f"term {status.term}, applied {status.applied_index} of {status.last_index}, "
            f"flush p99 {flush}, process {status.pid}"
        )
    return lines


def as_json(found: Found, problem: str) -> dict[str, Any]:
    """The same for a program. `error` is "" where all went well."""
    nodes: dict[str, dict[str, Any]] = {}
    for node, status in found.items():
        if isinstance(status, NodeUnreachable):
            nodes[f"node-{node}"] = {"error": str(status)}
            continue
        nodes[f"node-{node}"] = {
            "role": status.role,
            "term": status.term,
            "leader": status.leader,
            "drained": status.drained,
            "commit_index": status.commit_index,
            "applied_index": status.applied_index,
            "last_index": status.last_index,
            "flush_p99_ms": status.flush_p99_ms,
            "pid": status.pid,
        }
    return {"error": problem, "nodes": nodes}
