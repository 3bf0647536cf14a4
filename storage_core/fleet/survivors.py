"""Taking over from a supervisor that died: its children live, and so do their sockets.

For each part that still runs, the new supervisor checks that it is the very process of the book,
continues it in case it was left paused, and copies its listening socket out of it, so that the
front door can be shut and opened as before. A node whose socket can't be copied, and a part that
this table doesn't know, are ended: half a hold on a process is worse than a restart.
"""

from __future__ import annotations

import signal

from storage_core.fleet.front_door import check_port_free
from storage_core.fleet.linux import copy_listener, open_pidfd, send_signal
from storage_core.fleet.process import PartProcess, adopt_process
from storage_core.fleet.registry import find_survivors, read_registry
from storage_core.fleet.supervisor import STOP_GRACE_S, Supervisor


async def take_over(supervisor: Supervisor) -> int:
    """Adopt what an earlier supervisor left; returns how many parts."""
    settings = supervisor.settings
    registry = read_registry(settings.run / "registry.json")
    survivors = find_survivors(settings.home, registry)
    for stray in survivors.strays:
        handle = open_pidfd(stray)
        if handle is not None:
            send_signal(handle, signal.SIGKILL)
    adopted = 0
    for name, identity in survivors.parts.items():
        process = adopt_process(identity)
        if process is None:
            continue
        process.signal(signal.SIGCONT)
        if not _hold_socket(supervisor, name, process):
            supervisor.say(f"  {name:<10} can't be taken over as it is; ending it")
            process.watch(lambda: None)
            await process.stop(STOP_GRACE_S)
            continue
        supervisor.parts[name].resume(process, registry.get(name))
        adopted += 1
    return adopted


def _hold_socket(supervisor: Supervisor, name: str, process: PartProcess) -> bool:
    """Whether we hold all that we need to look after this process."""
    watched = supervisor.parts.get(name)
    if watched is None:
        return False
    if watched.part.node is None:
        return True
    listener = copy_listener(process.identity.pid, supervisor.settings.blob_port)
    if listener is None:
        return False
    supervisor.door.take(watched.part.node, listener)
    return True


def open_front_door(supervisor: Supervisor) -> None:
    """Make sure that no stranger listens where we will, then make the sockets that are missing.

    Raises PortTaken. Ports of adopted parts are theirs already.
    """
    newcomers = [watched.part for watched in supervisor.parts.values() if watched.process is None]
    for part in newcomers:
        for port in part.ports:
            check_port_free(port.number, port.variable, port.what)
    nodes = [watched.part.node for watched in supervisor.parts.values()]
    missing = [node for node in nodes if node is not None and not supervisor.door.has(node)]
    if len(missing) == len([node for node in nodes if node is not None]):
        check_port_free(supervisor.settings.blob_port, "HOLDFAST_BLOB_PORT", "front door")
    for node in missing:
        supervisor.door.make(node)
