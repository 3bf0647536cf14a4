"""Peers know each other by a key and by their processes, and find each other again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

from storage_core.peers import BULK, HANDSHAKES_MAX, LOG, Events, Peers, Process, this_process
from tests.storage_core.node.loops import play, until

KEY = b"the cluster's key"
CHILD = """
import asyncio, socket, sys
from storage_core.peers import Events, Peers, this_process
async def run():
    ignore = lambda *_: None
    peers = Peers(asyncio.get_running_loop(), cluster_id=7,
        addresses={0: ("127.0.0.1", int(sys.argv[1])), 1: ("127.0.0.1", 1)},
        key=b"the cluster's key", process=this_process(1),
        events=Events(ignore, ignore, ignore, ignore))
    listener = socket.socket(fileno=int(sys.argv[2]))
    peers.start(listener)
    await asyncio.Event().wait()
asyncio.run(run())
"""


class Node:
    """One node's connections and what it heard."""

    def __init__(
        self,
        number: int,
        ports: list[int],
        *,
        key: bytes = KEY,
        cluster_id: int = 7,
        process: Process | None = None,
    ) -> None:
        self.frames: list[tuple[int, int, bytes]] = []
        self.opened: list[tuple[int, int]] = []
        self.closed: list[tuple[int, int]] = []
        self.dead: list[int] = []
        self.peers = Peers(
            asyncio.get_running_loop(),
            cluster_id=cluster_id,
            addresses={n: ("127.0.0.1", port) for n, port in enumerate(ports)},
            key=key,
            process=process or this_process(number),
            events=Events(
                lambda kind, peer, frame: self.frames.append((kind, peer, bytes(frame))),
                lambda kind, peer: self.opened.append((kind, peer)),
                lambda kind, peer: self.closed.append((kind, peer)),
                self.dead.append,
            ),
        )

    def is_joined(self, *others: int) -> bool:
        return all(self.peers.socket_of(kind, n) for kind in (LOG, BULK) for n in others)


def listeners(count: int) -> tuple[list[socket.socket], list[int]]:
    found = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    return found, [listener.getsockname()[1] for listener in found]


def start(script: str, *arguments: object, inherits: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments), str(inherits)],
        stdin=subprocess.PIPE,
        pass_fds=(inherits,),
    )


def joined(left: Node, right: Node) -> Callable[[], bool]:
    return lambda: left.is_joined(1) and right.is_joined(0)


def test_every_pair_has_one_connection_of_each_kind() -> None:
    async def story() -> None:
        sockets, ports = listeners(3)
        nodes = [Node(number, ports) for number in range(3)]
        for node, listener in zip(nodes, sockets, strict=True):
            node.peers.start(listener)
        others = [(1, 2), (0, 2), (0, 1)]
        await until(
            lambda: all(n.is_joined(*o) for n, o in zip(nodes, others, strict=True)), "all joined"
        )

        log = nodes[2].peers.socket_of(LOG, 0)
        assert log is not None
        log.send([b"\x05\0\0\0", b"hello"])
        await until(lambda: nodes[0].frames, "a frame came")

        assert nodes[0].frames == [(LOG, 2, b"hello")]
        assert [sorted(node.opened) for node in nodes] == [
            sorted((kind, peer) for kind in (LOG, BULK) for peer in peers) for peers in others
        ]
        for node in nodes:
            node.peers.close()
            assert node.closed == [], "no event follows a close"
        await asyncio.sleep(0)

    play(story)


def test_a_closed_connection_is_dialled_again() -> None:
    async def story() -> None:
        (one, two), ports = listeners(2)
        left, right = Node(0, ports), Node(1, ports)
        left.peers.start(one)
        right.peers.start(two)
        await until(joined(left, right), "joined")

        log = right.peers.socket_of(LOG, 0)
        assert log is not None
        log.close()
        await until(lambda: left.closed and right.closed, "both saw it")
        await until(joined(left, right), "joined again")

        assert left.closed == [(LOG, 1)]
        assert left.opened.count((LOG, 1)) == 2
        assert left.opened.count((BULK, 1)) == 1
        left.peers.close()
        right.peers.close()
        await asyncio.sleep(0)

    play(story)


def test_strangers_are_refused_and_friends_still_come_in() -> None:
    async def story() -> None:
        (one, two), ports = listeners(2)
        right = Node(1, ports)
        right.peers.start(two)
        strangers = [
            Node(0, ports, key=b"another key"),
            Node(0, ports, cluster_id=8),
            Node(0, ports, process=this_process(0)._replace(node=1)),
            Node(0, ports, process=this_process(0)._replace(node=5)),
        ]
        for stranger in strangers:
            with socket.create_server(("127.0.0.1", 0)) as unused:
                stranger.peers.start(unused.dup())
            give_up = asyncio.get_running_loop().time() + 0.15
            await until(lambda end=give_up: asyncio.get_running_loop().time() > end, "it tried")  # type: ignore[misc]
            stranger.peers.close()
            await asyncio.sleep(0)
        assert right.opened == []
        assert [stranger.opened for stranger in strangers] == [[]] * 4

        left = Node(0, ports)
        left.peers.start(one)
        await until(joined(left, right), "the friend is in")
        left.peers.close()
        right.peers.close()
        await asyncio.sleep(0)

    play(story)


def test_half_open_callers_do_not_keep_a_friend_out() -> None:
    async def story() -> None:
        (one, two), ports = listeners(2)
        right = Node(1, ports)
        right.peers.start(two)
        silent = [socket.create_connection(("127.0.0.1", ports[1])) for _ in range(HANDSHAKES_MAX)]
        half = socket.create_connection(("127.0.0.1", ports[1]))
        half.sendall(b"HFP1" + bytes(10))

        left = Node(0, ports)
        left.peers.start(one)
        await until(joined(left, right), "the friend is in, once the silent ones are gone")

        for sock in (*silent, half):
            sock.close()
        left.peers.close()
        right.peers.close()
        await asyncio.sleep(0)

    play(story)


def test_a_peer_that_comes_back_replaces_its_former_self() -> None:
    async def story() -> None:
        (one, two), ports = listeners(2)
        right = Node(1, ports)
        right.peers.start(two)
        former = Node(0, ports)
        former.peers.start(one)
        await until(joined(former, right), "joined")

        again = Node(0, ports, process=this_process(0)._replace(start_time_ticks=1))
        with socket.create_server(("127.0.0.1", 0)) as unused:
            again.peers.start(unused.dup())
        await until(joined(again, right), "the new one is in")
        former.peers.close()
        await until(lambda: again.is_joined(1), "and stays")

        # Closed before it was opened again, for each kind: no event of the former comes after.
        assert right.closed.count((LOG, 0)) >= 1
        assert len(right.opened) == len(right.closed) + 2
        again.peers.close()
        right.peers.close()
        await asyncio.sleep(0)

    play(story)


def test_the_death_of_a_real_process_is_proven_at_once() -> None:
    async def story() -> None:
        sockets, ports = listeners(2)
        child = start(CHILD, ports[0], inherits=sockets[1].fileno())
        sockets[1].close()
        node = Node(0, ports)
        node.peers.start(sockets[0])
        await until(lambda: node.is_joined(1), "joined")
        assert node.dead == []

        os.kill(child.pid, signal.SIGSTOP)
        os.kill(child.pid, signal.SIGKILL)
        await until(lambda: node.dead, "its death is known")

        assert node.dead == [1]
        assert sorted(node.closed) == [(LOG, 1), (BULK, 1)]
        child.communicate()
        node.peers.close()
        await asyncio.sleep(0)

    play(story)


def test_a_pid_of_somebody_else_proves_nothing() -> None:
    async def story() -> None:
        (one, two), ports = listeners(2)
        bystander = start("input()", inherits=one.fileno())
        claimed = this_process(1)._replace(pid=bystander.pid)
        left, right = Node(0, ports), Node(1, ports, process=claimed)
        left.peers.start(one)
        right.peers.start(two)
        await until(joined(left, right), "joined")

        bystander.kill()
        bystander.communicate()
        log = left.peers.socket_of(LOG, 1)
        assert log is not None
        log.send([b"\x01\0\0\0", b"x"])
        await until(lambda: right.frames, "frames still come")

        assert left.dead == []
        left.peers.close()
        right.peers.close()
        await asyncio.sleep(0)

    play(story)
