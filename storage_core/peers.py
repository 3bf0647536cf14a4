"""Connections between nodes: two to each peer, dialled by the lower node, proven by a shared key.

The log connection carries consensus, the bulk connection everything large or forwarded. Each side
proves that it knows the cluster's peer key before a frame is believed, and says which process it
is. On one host that identity is worth more than a time-out: a pidfd of the peer's process tells
at once, and for certain, that it is dead. A closed connection alone proves nothing.

What always holds: at most one connection of each kind to a peer, the newest; whoever it replaced
is closed first.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import math
import os
import secrets
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import NamedTuple

from storage_core.io.network import FrameSocket
from storage_core.io.tasks import spawn

LOG, BULK = 0, 1
HANDSHAKE_S_MAX = 2.0
REDIAL_S = 0.1
HANDSHAKES_MAX = 64
"""Strangers that may be at the door at one time; a cluster's peers need a few."""
LOG_QUEUED_BYTES_MAX = 16 * 1024 * 1024
BULK_QUEUED_BYTES_MAX = 64 * 1024 * 1024
_MAGIC = b"HFP1"
_HELLO = struct.Struct("<4sBQHIQ16s16s")
_PROOF_BYTES = 32
log = logging.getLogger(__name__)


class Process(NamedTuple):
    """An incarnation of a node: a pid means nothing without its start time and its boot."""

    node: int
    pid: int
    start_time_ticks: int
    boot_id: bytes


class Events(NamedTuple):
    """What the owner wants to know. All are called on the loop."""

    on_frame: Callable[[int, int, memoryview], None]  # (kind, peer, frame)
    on_open: Callable[[int, int], None]  # (kind, peer)
    on_closed: Callable[[int, int], None]
    on_dead: Callable[[int], None]  # this peer's process is proven dead


def this_process(node: int) -> Process:
    """Who we are, from /proc."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot_id = bytes.fromhex(file.read().strip().replace("-", ""))
    start_time_ticks = start_time_of(os.getpid())
    assert start_time_ticks is not None, "our own /proc entry is there"
    return Process(node, os.getpid(), start_time_ticks, boot_id)


def start_time_of(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat, in clock ticks since boot; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None


class Peers:
    """All connections of one node."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        cluster_id: int,
        addresses: dict[int, tuple[str, int]],
        key: bytes,
        process: Process,
        events: Events,
    ) -> None:
        self._loop = loop
        self._cluster_id = cluster_id
        self._addresses = addresses
        self._key = key
        self._process = process
        self._events = events
        self._sockets: dict[tuple[int, int], FrameSocket] = {}
        self._watched: dict[int, tuple[Process, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._welcoming_count = 0
        self._closed = False
        self._cut: frozenset[int] = frozenset()

    def start(self, listener: socket.socket) -> None:
        """Accept on `listener` and dial every peer with a higher number."""
        self._listener = listener
        listener.setblocking(False)
        self._spawn(self._accept_all(listener))
        for peer in self._addresses:
            if peer > self._process.node:
                self._spawn(self._keep_dialling(LOG, peer))
                self._spawn(self._keep_dialling(BULK, peer))

    def close(self) -> None:
        """Close everything; no event follows."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for sock in list(self._sockets.values()):
            sock.close()
        for _, fd in self._watched.values():
            self._loop.remove_reader(fd)
            os.close(fd)
        self._watched.clear()
        if self._listener is not None:
            self._listener.close()

    def socket_of(self, kind: int, peer: int) -> FrameSocket | None:
        """The open connection, or None."""
        return self._sockets.get((kind, peer))

    def is_connected(self, peer: int) -> bool:
        return (LOG, peer) in self._sockets

    def silence_s(self, peer: int) -> float:
        """Since a frame last came on the log connection, in seconds; infinite without one."""
        sock = self._sockets.get((LOG, peer))
        return math.inf if sock is None else self._loop.time() - sock.heard_s

    def cut_off(self, *, deaf: frozenset[int], mute: frozenset[int]) -> None:
        """Take no frame from `deaf`, send none to `mute`, connect to neither; see `faults`.

        Who is in neither any more is disconnected: frames are missing in the middle of these
        streams, as after a partition, and a closed connection tells both ends.
        """
        former, self._cut = self._cut, deaf | mute
        for (_, peer), sock in self._sockets.items():
            sock.is_deaf, sock.is_mute = peer in deaf, peer in mute
        for peer in sorted(former - self._cut):
            self.disconnect(peer)

    def disconnect(self, peer: int) -> None:
        """Close both connections; who dialled them dials again."""
        for kind in (LOG, BULK):
            sock = self._sockets.get((kind, peer))
            if sock is not None:
                sock.close()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        spawn(self._loop, self._tasks, work)

    async def _accept_all(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = await self._loop.sock_accept(listener)
            except OSError as error:
                # No descriptor is free, say: it will pass, and peers must get in then.
                log.warning("peer not accepted", extra={"reason": str(error)})
                await asyncio.sleep(REDIAL_S)
                continue
            if self._welcoming_count >= HANDSHAKES_MAX:
                sock.close()
                continue
            self._welcoming_count += 1
            self._spawn(self._welcome(sock))

    async def _welcome(self, sock: socket.socket) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_S_MAX):
                kind, process = await self._shake_hands(sock, None)
                if process.node in self._cut:
                    raise ConnectionResetError("cut off")
        except (OSError, TimeoutError, ValueError) as error:
            log.warning("peer connection refused", extra={"reason": str(error)})
            sock.close()
            return
        except asyncio.CancelledError:
            sock.close()
            raise
        finally:
            self._welcoming_count -= 1
        self._adopt(kind, process, sock)

    async def _keep_dialling(self, kind: int, peer: int) -> None:
        while True:
            closed = asyncio.Event()
            try:
                sock, process = await self._dial(kind, peer)
            except (OSError, TimeoutError, ValueError) as error:
                log.debug("peer not reached", extra={"peer": peer, "reason": str(error)})
            else:
                self._adopt(kind, process, sock, closed.set)
                await closed.wait()
            await asyncio.sleep(REDIAL_S)

    async def _dial(self, kind: int, peer: int) -> tuple[socket.socket, Process]:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(HANDSHAKE_S_MAX):
                await self._loop.sock_connect(sock, self._addresses[peer])
                _, process = await self._shake_hands(sock, kind)
            if process.node != peer:
                raise ValueError(f"node {process.node} answers at node {peer}'s address")
            if peer in self._cut:
                raise ConnectionResetError("cut off")
        except BaseException:
            sock.close()
            raise
        return sock, process

    async def _shake_hands(self, sock: socket.socket, kind: int | None) -> tuple[int, Process]:
        """Exchange hellos, then proofs over both. The dialler speaks first and names the kind."""
        me = self._process
        nonce = secrets.token_bytes(16)
        mine = _HELLO.pack(
            _MAGIC,
            0 if kind is None else kind,
            self._cluster_id,
            me.node,
            me.pid,
            me.start_time_ticks,
            me.boot_id,
            nonce,
        )
        if kind is not None:
            await self._loop.sock_sendall(sock, mine)
        theirs = await self._receive(sock, _HELLO.size)
        if kind is None:
            await self._loop.sock_sendall(sock, mine)
        magic, their_kind, cluster_id, node, pid, ticks, boot_id, _ = _HELLO.unpack(theirs)
        if magic != _MAGIC or cluster_id != self._cluster_id:
            raise ValueError("it is not of this cluster")
        if node not in self._addresses or node == me.node or their_kind not in (LOG, BULK):
            raise ValueError(f"node {node} is no peer of ours")
        await self._loop.sock_sendall(sock, self._proof(mine, theirs))
        proof = await self._receive(sock, _PROOF_BYTES)
        if not hmac.compare_digest(proof, self._proof(theirs, mine)):
            raise ValueError(f"node {node} does not know the peer key")
        return (their_kind if kind is None else kind), Process(node, pid, ticks, boot_id)

    def _proof(self, speaker: bytes, listener: bytes) -> bytes:
        return hmac.digest(self._key, speaker + listener, hashlib.sha256)

    async def _receive(self, sock: socket.socket, size: int) -> bytes:
        found = b""
        while len(found) < size:
            part = await self._loop.sock_recv(sock, size - len(found))
            if not part:
                raise ConnectionResetError("closed during the handshake")
            found += part
        return found

    def _adopt(
        self,
        kind: int,
        process: Process,
        sock: socket.socket,
        on_gone: Callable[[], None] | None = None,
    ) -> None:
        peer = process.node
        former = self._sockets.get((kind, peer))
        if former is not None:
            former.close()

        def closed() -> None:
            if self._sockets.get((kind, peer)) is frame_socket:
                del self._sockets[kind, peer]
                if not self._closed:
                    self._events.on_closed(kind, peer)
            if on_gone is not None:
                on_gone()

        frame_socket = FrameSocket(
            self._loop,
            sock,
            on_frame=lambda frame: self._events.on_frame(kind, peer, frame),
            on_closed=closed,
            queued_bytes_max=LOG_QUEUED_BYTES_MAX if kind == LOG else BULK_QUEUED_BYTES_MAX,
        )
        self._sockets[kind, peer] = frame_socket
        if kind == LOG:
            self._watch(process)
        self._events.on_open(kind, peer)

    def _watch(self, process: Process) -> None:
        """Open a pidfd of a peer on this host, and make sure that it's that very process."""
        peer = process.node
        known = self._watched.get(peer)
        if known is not None:
            if known[0] == process:
                return
            self._unwatch(peer)
        if process.boot_id != self._process.boot_id:
            return
        try:
            fd = os.pidfd_open(process.pid)
        except OSError:
            return
        if start_time_of(process.pid) != process.start_time_ticks:
            os.close(fd)
            return
        self._watched[peer] = (process, fd)
        self._loop.add_reader(fd, self._died, peer)

    def _died(self, peer: int) -> None:
        self._unwatch(peer)
        log.warning("peer process is dead", extra={"peer": peer})
        self.disconnect(peer)
        self._events.on_dead(peer)

    def _unwatch(self, peer: int) -> None:
        _, fd = self._watched.pop(peer)
        with contextlib.suppress(ValueError):
            self._loop.remove_reader(fd)
        os.close(fd)
