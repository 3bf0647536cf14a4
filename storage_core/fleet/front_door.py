"""The front door: one port, one listening socket per node, and the rule which of them listen.

All sockets share the port by SO_REUSEPORT, so the kernel deals new connections out among those
that listen. It knows nothing of a process that is stopped or dead and would go on dealing to it;
so the supervisor keeps a copy of each socket and shuts it at once, which shuts every copy, and
`listen` brings it back. The leader listens only while nobody else can serve: a stock SDK waits 15 s
after a reset connection, so a node whose death costs most should hold no clients (ADR 003). For the
same reason a node that beats is left a while before its socket is shut: it may leave by itself,
which takes in those whom the kernel has connected already instead of resetting them, and one that
does not serve because the lead moves just now will serve again in a moment.

What always holds: at least one socket listens.

Read next: `choose_open`, which is the whole rule and touches no socket.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final, NamedTuple

from storage_core.config import HOST
from storage_core.fleet.linux import holder_of_port

BACKLOG: Final = 1024
"""Connections that may wait for a node that is busy for a moment."""
LEAVE_S_MAX: Final = 1.0
"""How long a node that beats may take to leave by itself, or to serve again."""


class NodeView(NamedTuple):
    """What the supervisor knows of a node at this moment."""

    is_alive: bool
    """Has a process that is neither stopped nor dead."""
    is_beating: bool
    """Its last beat is fresh, so its loop runs and it can leave by itself."""
    is_serving: bool
    """Says that it is ready, and its last beat is fresh."""
    is_leader: bool


class PortTaken(Exception):
    """Somebody else listens where we must; `variable` moves us elsewhere."""

    def __init__(self, port: int, variable: str, what: str) -> None:
        holder = holder_of_port(port)
        super().__init__(
            f"port {port} ({what}) is taken{' by ' + holder if holder else ''}: "
            f"stop that, or set {variable} to another port"
        )
        self.port = port
        self.variable = variable


def choose_open(nodes: Mapping[int, NodeView], open_now: frozenset[int]) -> frozenset[int]:
    """Which sockets should listen. Never empty as long as there are nodes.

    Best are nodes that serve and follow; else the leader if it serves; else every living process
    (it may serve soon, and waiting beats a refused connection); else what is open stays open.
    """
    choices = (
        {
            n
            for n, node in nodes.items()
            if node.is_alive and node.is_serving and not node.is_leader
        },
        {n for n, node in nodes.items() if node.is_alive and node.is_serving},
        {n for n, node in nodes.items() if node.is_alive},
        open_now,
        nodes,
    )
    return frozenset(next((choice for choice in choices if choice), ()))


def check_port_free(port: int, variable: str, what: str) -> None:
    """Refuse a port that anyone listens on, even one who would share it with us."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise PortTaken(port, variable, what) from None


def make_listener(port: int) -> socket.socket:
    """One more socket that shares the port, listening."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((HOST, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def is_listening(listener: socket.socket) -> bool:
    """Whether the kernel deals connections to this socket."""
    return listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1


class FrontDoor:
    """The supervisor's copies of the nodes' shared sockets."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._listeners: dict[int, socket.socket] = {}
        self._asked_s: dict[int, float] = {}
        """Since when a node that listens should not, on the monotonic clock."""

    def take(self, node: int, listener: socket.socket) -> None:
        """Keep a socket that a node holds already."""
        assert node not in self._listeners, node
        self._listeners[node] = listener

    def make(self, node: int) -> None:
        """Make the socket of a node that has none."""
        self.take(node, make_listener(self.port))

    def has(self, node: int) -> bool:
        """Whether a copy of this node's socket is here."""
        return node in self._listeners

    def descriptor(self, node: int) -> int:
        """What a node's process inherits."""
        return self._listeners[node].fileno()

    def open_nodes(self) -> frozenset[int]:
        """Whose sockets listen now, asked of the kernel."""
        return frozenset(n for n, listener in self._listeners.items() if is_listening(listener))

    def apply(
        self, nodes: Mapping[int, NodeView], *, now_s: float
    ) -> tuple[frozenset[int], frozenset[int]]:
        """Bring the sockets in line with the rule; returns (opened, shut). Monotonic clock."""
        open_now = self.open_nodes()
        held = {n: view for n, view in nodes.items() if n in self._listeners}
        wanted = choose_open(held, open_now)
        # Open first: between the two steps there must be someone to connect to.
        for node in sorted(wanted - open_now):
            self._listeners[node].listen(BACKLOG)
        shut = self._overdue(held, open_now - wanted, now_s)
        for node in sorted(shut):
            self._listeners[node].shutdown(socket.SHUT_RDWR)
        assert self.open_nodes() or not self._listeners, "somebody must listen"
        return wanted - open_now, shut

    def _overdue(
        self, nodes: Mapping[int, NodeView], unwanted: frozenset[int], now_s: float
    ) -> frozenset[int]:
        """Who of the unwanted can't leave by itself, or had its time to."""
        self._asked_s = {node: self._asked_s.get(node, now_s) for node in unwanted}
        return frozenset(
            node
            for node, asked_s in self._asked_s.items()
            if not (node in nodes and nodes[node].is_alive and nodes[node].is_beating)
            or now_s - asked_s >= LEAVE_S_MAX
        )

    def close(self) -> None:
        """Let go of every copy; the port is free when the nodes have ended too."""
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
