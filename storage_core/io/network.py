"""Framed messages over a socket, sent at once and never copied.

Problem: an event loop's transport sends at the end of the tick, after a flush that may have run
inline, and tells nobody when a buffer has left; both matter to replication. Idea: a plain
non-blocking socket. `send` hands buffers to the kernel in the same call if it takes them, keeps
the rest until it does, and refuses when too much waits.

A frame is a little-endian u32 length and that many bytes. What always holds: a frame is delivered
whole or not at all; an exception out of `on_frame` closes this connection and no other, but for
those that say that this node is wrong: they reach the loop, which stops the node.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence

from storage_core.errors import CorruptLog, FatalDisk

FRAME_BYTES_MAX = 64 * 1024 * 1024
BUFFERS_PER_CALL_MAX = 1024
READ_BUFFER_BYTES = 1024 * 1024
READS_PER_EVENT_MAX = 4

Buffer = bytes | bytearray | memoryview
LENGTH = struct.Struct("<I")
log = logging.getLogger(__name__)


class FrameSocket:
    """Owned by one event loop. `on_closed` is called exactly once, whoever closes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        *,
        on_frame: Callable[[memoryview], None],
        on_closed: Callable[[], None],
        queued_bytes_max: int,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._queued_bytes_max = queued_bytes_max
        self._out: deque[memoryview] = deque()
        self._queued_bytes = 0
        self._in = bytearray(READ_BUFFER_BYTES)
        self._in_start = self._in_end = 0
        self._closed = False
        self.is_deaf = False  # frames that come are dropped, see `faults`
        self.is_mute = False  # and so are those that are sent
        self.heard_s = loop.time()  # when a frame last came, on the loop's clock
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.add_reader(sock.fileno(), self._readable)

    @property
    def is_open(self) -> bool:
        return not self._closed

    @property
    def queued_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._queued_bytes

    def send(self, buffers: Sequence[Buffer]) -> bool:
        """Send whole frames, their lengths included. False: closed or too much waits, not sent."""
        if self._closed:
            return False
        if self.is_mute:
            return True
        if self._out:
            return self._enqueue(buffers, 0)
        try:
            sent = self._sock.sendmsg(buffers[:BUFFERS_PER_CALL_MAX])
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.close()
            return False
        return self._enqueue(buffers, sent)

    def close(self) -> None:
        """Idempotent. Queued bytes are dropped."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        self._out.clear()
        self._on_closed()

    def _enqueue(self, buffers: Sequence[Buffer], sent: int) -> bool:
        """Keep what the kernel did not take; the first `sent` bytes of `buffers` are gone."""
        rest: list[memoryview] = []
        for buffer in buffers:
            size = len(buffer)
            if sent >= size:
                sent -= size
                continue
            rest.append(memoryview(buffer)[sent:])
            sent = 0
        if not rest:
            return True
        size = sum(len(view) for view in rest)
        if self._queued_bytes + size > self._queued_bytes_max and self._out:
            # Nothing of these frames has left, so that they can be dropped whole.
            return False
        if not self._out:
            self._loop.add_writer(self._sock.fileno(), self._writable)
        self._out.extend(rest)
        self._queued_bytes += size
        return True

    def _writable(self) -> None:
        batch = [self._out[i] for i in range(min(len(self._out), BUFFERS_PER_CALL_MAX))]
        try:
            sent = self._sock.sendmsg(batch)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        self._queued_bytes -= sent
        while sent:
            head = self._out.popleft()
            if sent < len(head):
                self._out.appendleft(head[sent:])
                break
            sent -= len(head)
        if not self._out:
            self._loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        for _ in range(READS_PER_EVENT_MAX):
            if self._in_end == len(self._in):
                self._make_room()
            try:
                with memoryview(self._in) as view:
                    count = self._sock.recv_into(view[self._in_end :])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.close()
                return
            if count == 0:
                self.close()
                return
            self._in_end += count
            if not self._deliver() or self._in_end < len(self._in):
                return

    def _deliver(self) -> bool:
        """Hand out every whole frame; False once the connection is closed."""
        view = memoryview(self._in)
        try:
            while self._in_end - self._in_start >= LENGTH.size:
                (size,) = LENGTH.unpack_from(view, self._in_start)
                if size > FRAME_BYTES_MAX:
                    log.warning("peer frame over the limit", extra={"size_bytes": size})
                    self.close()
                    return False
                start = self._in_start + LENGTH.size
                if start + size > self._in_end:
                    break
                self._in_start = start + size
                if not self.is_deaf:
                    self.heard_s = self._loop.time()
                    self._on_frame(view[start : start + size])
                if self._closed:
                    return False
        except (AssertionError, CorruptLog, FatalDisk):
            raise
        except Exception:
            log.exception("peer frame could not be taken")
            self.close()
            return False
        finally:
            view.release()
        if self._in_start == self._in_end:
            self._in_start = self._in_end = 0
        return True

    def _make_room(self) -> None:
        """Move the partial frame to the front, and grow if it alone fills the buffer."""
        partial = bytes(self._in[self._in_start : self._in_end])
        wanted = READ_BUFFER_BYTES
        if len(partial) >= LENGTH.size:
            wanted = max(wanted, LENGTH.unpack_from(partial)[0] + LENGTH.size)
        if wanted != len(self._in):
            self._in = bytearray(wanted)
        self._in[: len(partial)] = partial
        self._in_start, self._in_end = 0, len(partial)
