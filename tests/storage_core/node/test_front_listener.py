"""The front door is left and entered again by whoever touches the shared socket."""

from __future__ import annotations

import asyncio
import os
import socket

from storage_core.front_listener import FrontListener
from tests.storage_core.node.loops import play, until


class CountingSocket(socket.socket):
    """A real socket that knows how often somebody tried to accept."""

    accept_count = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.accept_count += 1
        return super().accept()


class Door:
    """A listener, the supervisor's copy of its socket, and the clients that came in."""

    def __init__(self) -> None:
        self.wants = True
        self.clients: list[asyncio.BaseTransport] = []
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        # Bound to a number of its own: a port that the system chose is given back by a shutdown.
        self.copy = socket.create_server(("127.0.0.1", self.port))
        self.socket = CountingSocket(fileno=os.dup(self.copy.fileno()))
        self.check_count = 0
        door = self

        class Client(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                door.clients.append(transport)

        self.listener = FrontListener(
            asyncio.get_running_loop(),
            self.socket,
            factory=Client,
            should_listen=self._should_listen,
        )

    def _should_listen(self) -> bool:
        self.check_count += 1
        return self.wants

    def is_let_in(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
        except OSError:
            return False
        return True

    def close(self) -> None:
        self.listener.close()
        self.copy.close()
        for client in self.clients:
            client.close()


def test_a_follower_serves_and_a_leader_leaves_and_both_again() -> None:
    async def story() -> None:
        door = Door()
        for round_number in range(1, 3):
            door.wants = True
            await until(lambda: door.listener.is_open, "it listens")
            assert door.is_let_in()
            await until(lambda n=round_number: len(door.clients) == n, "a client is in")  # type: ignore[misc]
            door.wants = False
            await until(lambda: not door.listener.is_open, "it left")
            assert not door.is_let_in()
        door.close()

    play(story)


def test_what_the_supervisor_shut_is_opened_by_a_node_that_lives() -> None:
    async def story() -> None:
        door = Door()
        door.copy.shutdown(socket.SHUT_RD)
        checks = door.check_count
        await until(lambda: door.check_count >= checks + 2, "it looked")

        assert door.listener.is_open
        assert door.is_let_in()
        await until(lambda: door.clients, "a client is in")
        door.close()

    play(story)


def test_a_shut_socket_does_not_keep_the_loop_busy() -> None:
    async def story() -> None:
        door = Door()
        door.wants = False
        door.copy.shutdown(socket.SHUT_RD)
        accepts, checks = door.socket.accept_count, door.check_count
        await until(lambda: door.check_count >= checks + 3, "it looked")

        # The kernel calls such a socket readable for ever.
        assert door.socket.accept_count - accepts <= 2
        door.close()

    play(story)


def test_clients_that_were_connected_when_it_left_are_kept() -> None:
    async def story() -> None:
        door = Door()
        waiting = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(100)]

        door.listener.close()
        await until(lambda: len(door.clients) == 100, "all are in")

        assert not door.is_let_in(), "the supervisor's copy is shut as well"
        for client in waiting:
            client.close()
        door.close()

    play(story)


def test_a_new_leader_leaves_without_waiting_for_the_next_look() -> None:
    async def story() -> None:
        door = Door()
        waiting = socket.create_connection(("127.0.0.1", door.port))
        door.wants = False
        door.listener.look()

        assert not door.is_let_in()
        await until(lambda: door.clients, "who was connected already is in")
        waiting.close()
        door.close()

    play(story)
