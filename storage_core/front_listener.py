"""This node's share of the front door: accept while it should, fall silent when told.

The supervisor made the socket and keeps a copy, which it shuts down when the node is stopped or
dead. A living node does it by itself: a leader leaves, a follower listens again. Both ends may act
on the one socket, in any order, because all that counts is its state, looked at ten times a second
and whenever the role changes.
A shut down listener is readable for ever and accepts nothing, so its reader goes with it.

Read next: docs/adr, "The leader leaves the front door".
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

ACCEPTS_PER_EVENT_MAX = 64
BACKLOG = 1024
CHECK_S = 0.1
log = logging.getLogger(__name__)


class FrontListener:
    """Accepts on one inherited socket. `should_listen` says whether this node belongs there."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        *,
        factory: Callable[[], asyncio.Protocol],
        should_listen: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._factory = factory
        self._should_listen = should_listen
        self._accepting: set[asyncio.Task[object]] = set()
        self._is_reading = False
        self._closed = False
        sock.setblocking(False)
        self._check()

    @property
    def is_open(self) -> bool:
        """Whether new clients come in here."""
        return self._is_reading

    def close(self) -> None:
        """Stop accepting; connections live on."""
        if self._closed:
            return
        self._closed = True
        if self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            # The supervisor holds a copy, so that closing ours alone would leave the door open.
            self._leave()
        self._stop_reading()
        self._sock.close()

    def _check(self) -> None:
        if self._closed:
            return
        self._loop.call_later(CHECK_S, self._check)
        self.look()

    def look(self) -> None:
        """Listen or leave, as it should be now."""
        if self._closed:
            return
        listens = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        if listens != self._should_listen():
            if listens:
                self._leave()
            else:
                self._sock.listen(BACKLOG)
            listens = not listens
        if listens and not self._is_reading:
            self._is_reading = True
            self._loop.add_reader(self._sock.fileno(), self._accept)
        elif not listens:
            self._stop_reading()

    def _leave(self) -> None:
        """Shut down; clients that the kernel connected meanwhile are taken, not reset."""
        while self._accept() == ACCEPTS_PER_EVENT_MAX:
            pass
        self._sock.shutdown(socket.SHUT_RD)

    def _stop_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._sock.fileno())

    def _accept(self) -> int:
        """Take in who waits, a bounded number at once; returns how many."""
        for count in range(ACCEPTS_PER_EVENT_MAX):
            try:
                client, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return count
            except OSError as error:
                log.info("front door shut", extra={"reason": str(error)})
                self._stop_reading()
                return count
            client.setblocking(False)
            task = self._loop.create_task(self._loop.connect_accepted_socket(self._factory, client))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)
        return ACCEPTS_PER_EVENT_MAX
