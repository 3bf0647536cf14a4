"""Frames arrive whole and in order, however the bytes come, and queues are bounded."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_core.errors import CorruptLog
from storage_core.io.network import FRAME_BYTES_MAX, LENGTH, READ_BUFFER_BYTES, FrameSocket
from storage_core.log.home import HomeRefused
from tests.storage_core.node.loops import play, until


class End:
    """One end of a pair: a FrameSocket and what came of it."""

    def __init__(self, sock: socket.socket, queued_bytes_max: int = 1 << 30) -> None:
        self.frames: list[bytes] = []
        self.closed_count = 0
        self.error: BaseException | None = None
        self.socket = FrameSocket(
            asyncio.get_running_loop(),
            sock,
            on_frame=self._frame,
            on_closed=self._closed,
            queued_bytes_max=queued_bytes_max,
        )

    def _frame(self, frame: memoryview) -> None:
        self.frames.append(bytes(frame))
        if self.error is not None:
            raise self.error

    def _closed(self) -> None:
        self.closed_count += 1


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a real connection on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    return one, other


def framed(*bodies: bytes) -> list[bytes]:
    return [part for body in bodies for part in (LENGTH.pack(len(body)), body)]


@settings(max_examples=20)
@given(st.lists(st.binary(max_size=300), max_size=20), st.lists(st.integers(1, 200), max_size=40))
def test_frames_are_whole_however_they_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    async def story() -> None:
        raw, sock = pair()
        end = End(sock)
        stream = b"".join(framed(*bodies))
        at = 0
        for cut in [*cuts, len(stream)]:
            raw.sendall(stream[at : at + cut])
            at += cut
            await asyncio.sleep(0)
        await until(lambda: len(end.frames) == len(bodies), "all frames are here")
        raw.close()
        await until(lambda: end.closed_count, "the end is seen")

        assert end.frames == bodies
        assert end.closed_count == 1

    play(story)


def test_frames_larger_than_the_buffer_pass_both_ways() -> None:
    async def story() -> None:
        one, other = (End(sock) for sock in pair())
        bodies = [bytes([n]) * size for n, size in enumerate((5, 3 * READ_BUFFER_BYTES, 0, 9, 70))]
        bodies += [b"\xff" * (READ_BUFFER_BYTES - 4), b"\xee" * READ_BUFFER_BYTES, b"end"]

        assert one.socket.send(framed(*bodies))
        assert other.socket.send(framed(*reversed(bodies)))
        await until(lambda: len(other.frames) == len(one.frames) == len(bodies), "both are done")

        assert other.frames == bodies
        assert one.frames == bodies[::-1]
        assert one.socket.queued_bytes == 0
        one.socket.close()
        await until(lambda: other.closed_count, "the end is seen")

    play(story)


def test_a_thousand_buffers_and_more_leave_in_one_call() -> None:
    async def story() -> None:
        one, other = (End(sock) for sock in pair())
        bodies = [n.to_bytes(4, "little") for n in range(3000)]

        assert one.socket.send(framed(*bodies))
        await until(lambda: len(other.frames) == 3000, "all frames are here")

        assert other.frames == bodies
        one.socket.close()
        other.socket.close()

    play(story)


def test_a_peer_that_does_not_read_is_owed_a_bounded_number_of_bytes() -> None:
    async def story() -> None:
        raw, sock = pair()
        bound = 200_000
        end = End(sock, queued_bytes_max=bound)
        body = bytes(50_000)
        sent = 0
        while end.socket.send(framed(body)):
            sent += 1
        assert 0 < end.socket.queued_bytes <= bound + len(body)
        for _ in range(100):
            assert not end.socket.send(framed(body))

        expected = sent * (LENGTH.size + len(body))
        raw.setblocking(False)
        received = bytearray()
        while len(received) < expected:
            received += await asyncio.get_running_loop().sock_recv(raw, 1 << 20)

        # What was refused left no trace: the stream is whole frames and goes on with the next.
        assert bytes(received) == b"".join(framed(body)) * sent
        await until(lambda: end.socket.queued_bytes == 0, "all is sent")
        assert end.socket.send(framed(b"next"))
        assert await asyncio.get_running_loop().sock_recv(raw, 100) == b"".join(framed(b"next"))
        end.socket.close()
        raw.close()

    play(story)


def test_a_frame_over_the_limit_closes_the_connection() -> None:
    async def story() -> None:
        raw, sock = pair()
        end = End(sock)

        raw.sendall(LENGTH.pack(FRAME_BYTES_MAX + 1))
        await until(lambda: end.closed_count, "it is closed")

        assert not end.socket.send(framed(b"late"))
        assert not end.socket.is_open
        raw.close()

    play(story)


def test_closing_is_told_once_whoever_closes() -> None:
    async def story() -> None:
        one, other = (End(sock) for sock in pair())

        one.socket.close()
        one.socket.close()
        await until(lambda: other.closed_count, "the end is seen")
        other.socket.close()

        assert (one.closed_count, other.closed_count) == (1, 1)
        assert not other.socket.send(framed(b"late"))

    play(story)


@pytest.mark.parametrize("error", [ValueError("no frame"), KeyError("who"), HomeRefused("no")])
def test_an_error_over_a_frame_closes_its_connection_alone(error: BaseException) -> None:
    async def story() -> None:
        raw, sock = pair()
        other_raw, other_sock = pair()
        end, neighbour = End(sock), End(other_sock)
        end.error = error

        raw.sendall(b"".join(framed(b"one", b"two")))
        await until(lambda: end.closed_count, "it is closed")
        other_raw.sendall(b"".join(framed(b"fine")))
        await until(lambda: neighbour.frames, "the neighbour lives")

        assert end.frames == [b"one"]
        neighbour.socket.close()
        raw.close()
        other_raw.close()

    play(story)


@pytest.mark.parametrize("error", [AssertionError("wrong"), CorruptLog(1, 2, 3, "rotten")])
def test_a_node_that_is_wrong_hears_of_it_through_its_loop(error: BaseException) -> None:
    async def story() -> None:
        raw, sock = pair()
        end = End(sock)
        end.error = error

        raw.sendall(b"".join(framed(b"one")))
        await until(lambda: end.frames, "the frame is here")

        end.error = None
        end.socket.close()
        raw.close()

    play(story, expected=type(error))
