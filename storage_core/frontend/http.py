"""HTTP/1.1 on one connection: requests in order, answers in the same order, bounds on everything.

httptools finds the messages; this keeps what it leaves open: how large and how slow a head may
be, what happens when a client sends the next request before its answer, or leaves in the middle,
or is told to. One exchange is answered at a time; later ones of a pipelining client wait in
`_queue` with reading paused, so that what waits is bounded by one read of the socket.

What holds: an error on one connection ends that connection only. Every way in from the event loop
goes through a guard. Nothing after a malformed message is believed; what was asked before it
is answered first.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

import httptools

from storage_core.frontend.auth import is_loopback
from storage_core.frontend.body import ClientGone
from storage_core.frontend.exchange import Exchange
from storage_core.frontend.refusals import Refusal, malformed, too_slow
from telemetry.tracing import StageClock

if TYPE_CHECKING:
    from storage_core.frontend.front import FrontEnd
    from storage_core.frontend.responder import Responder

log = logging.getLogger(__name__)

# Why reading is paused; reading goes on when no reason is left.
QUEUED: Final = 1
BUFFERED: Final = 2
BUDGET: Final = 4

# What the peer is timed for.
IDLE: Final = 0
HEAD: Final = 1
BUSY: Final = 2
LINGER: Final = 3


class Connection(asyncio.Protocol):
    """One client. Owned by its transport; the front end keeps it in a set for the sweeps."""

    __slots__ = (
        "_client_is_done", "_current", "_drained", "_fields", "_head_only", "_header_bytes",
        "_in_head", "_input_ended", "_last", "_parser", "_paused", "_queue", "_read_bytes",
        "_start", "_swallowed_bytes", "_transport", "_url", "closed", "front", "leaving",
        "loopback", "loopback_only", "phase", "since_s",
    )  # fmt: skip

    def __init__(
        self, front: FrontEnd, leaving: Callable[[], bool], *, loopback_only: bool
    ) -> None:
        self.front = front
        self.leaving = leaving
        self.loopback_only = loopback_only
        self.loopback = False
        self.closed = False
        self.phase = IDLE
        self.since_s = front.now_s
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._last: Exchange | None = None
        self._fields: list[bytes] = []  # name, value, name, value
        self._url = b""
        self._start = StageClock()
        self._in_head = False
        self._head_only = True
        self._header_bytes = 0
        self._read_bytes = 0
        self._swallowed_bytes = 0
        self._input_ended = False
        self._client_is_done = False
        self._paused = 0
        self._drained: asyncio.Future[None] | None = None

    # -- from the event loop ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.loopback = is_loopback(transport.get_extra_info("peername"))
        self._transport.set_write_buffer_limits(high=self.front.limits.write_buffer_bytes)
        self.front.opened(self)
        if self.loopback_only and not self.loopback:
            self.abort()
        elif len(self.front.connections) > self.front.limits.connection_count_max:
            self.refuse_unread(Refusal("ServerBusy", [("Reason", "connections")], close=True))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.front.lost(self)
        self._drop_queue()
        if self._current is not None:
            self._current.client_gone(ClientGone("the connection is lost"))
        self._wake_writer()

    def eof_received(self) -> bool:
        """Half a close: answer what was asked, if all of it is here."""
        self._input_ended = True
        self._client_is_done = True
        if self._last is not None and not self._last.body.ended:
            self._last.client_gone(ClientGone("the request ends in the middle"))
            return False
        return self._current is not None and not self.closed

    def data_received(self, data: bytes) -> None:
        if self._input_ended:
            self._swallow(len(data))
            return
        self.since_s = self.front.now_s
        # Bytes count as head only where we know that no body or earlier request is among them.
        self._head_only = self._last is None or self._last.body.ended
        self._read_bytes = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The parser stops at such a request. It is answered as if it had not asked.
            self._end_input()
        except httptools.HttpParserError as error:
            self._broken(error)
        except Exception:
            log.exception("connection failed")
            self.abort()
        if self._in_head and self._head_only and not self._input_ended:
            self._header_bytes += len(data)
            if self._header_bytes > self.front.limits.header_bytes_max:
                self._head_too_large()

    def pause_writing(self) -> None:
        self.since_s = self.front.now_s
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        self._wake_writer()
        if self._current is None and self._queue:
            self._advance()

    # -- from the parser --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._start = StageClock()
        self._fields = []
        self._url = b""
        self._in_head = True
        self._header_bytes = 0
        if self._current is None:
            self.phase = HEAD

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += (name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._input_ended or self._head_is_too_large():
            return
        parser = self._parser
        method, keep_alive = parser.get_method(), parser.should_keep_alive()
        received, lines = tuple(self._fields[::2]), self._fields[1::2]
        exchange = Exchange(
            self, self._start, method, self._url, received, lines, keep_alive=keep_alive
        )
        self._last = exchange
        if self._current is None and self._drained is None:
            self._current = exchange
            self.phase = BUSY
            exchange.begin()
        else:
            # Also when nothing is under way but the client doesn't read what it was sent.
            self._queue.append(exchange)
            self.pause(QUEUED)

    def on_body(self, data: bytes) -> None:
        exchange = self._last
        if exchange is None or self._input_ended:
            return
        if exchange.answered:
            self._swallow(len(data))
        else:
            exchange.feed(data)

    def on_message_complete(self) -> None:
        exchange = self._last
        self._head_only = False
        if exchange is None or self._input_ended:
            return
        if len(self._fields) > 2 * self.front.limits.header_count_max:
            self._broken(ValueError("trailers"))
            return
        exchange.end_of_request()

    # -- for the exchange -------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> None:
        if not self.closed and self._transport is not None:
            self._transport.write(data)

    def writelines(self, pieces: list[bytes | memoryview]) -> None:
        if not self.closed and self._transport is not None:
            self._transport.writelines(pieces)

    async def drain(self) -> None:
        """Wait until the client has taken enough of the answer."""
        if self.closed:
            raise ClientGone("the connection is lost")
        if self._drained is not None:
            await self._drained
            if self.closed:
                raise ClientGone("the connection is lost")

    def pause(self, reason: int) -> None:
        if not self._paused and self._transport is not None and not self.closed:
            self._transport.pause_reading()
        self._paused |= reason

    def resume(self, reason: int) -> None:
        if self._paused & reason:
            self._paused &= ~reason
            self.since_s = self.front.now_s
            if not self._paused and self._transport is not None and not self.closed:
                self._transport.resume_reading()

    def pause_body(self) -> None:
        self.pause(BUFFERED)

    def resume_body(self) -> None:
        self.resume(BUFFERED)

    def wait_for_budget(self) -> None:
        """Read on when there is room for one more body."""
        self.pause(BUDGET)
        self.front.budget.when_free(functools.partial(self.resume, BUDGET))

    def finished(self, exchange: Responder) -> None:
        """`exchange` is answered. Go on with the next, or close as it said."""
        assert exchange is self._current, "answers leave in the order of the questions"
        if self.closed:
            self._current = None
            return
        if exchange.close_after:
            self._close_gently()
            return
        if not exchange.body.ended:
            # The rest of a refused body is still to come; on_message_complete calls again.
            self._swallowed_bytes = 0
            self.resume(BUFFERED | BUDGET)
            return
        self._advance()

    def abort(self) -> None:
        if self._transport is not None and not self.closed:
            self._transport.abort()

    def refuse_unread(self, refusal: Refusal) -> None:
        """Answer what isn't a request, after all that is."""
        self._end_input()
        exchange = Exchange(self, self._start, b"GET", b"/", (), [], keep_alive=False)
        exchange.body.ended = True
        exchange.broken = refusal
        self._last = exchange
        if self._current is None:
            self._current = exchange
            exchange.begin()
        else:
            self._queue.append(exchange)

    def sweep(self, now_s: float) -> None:
        """Once in a while: is the client later than it may be?"""
        limits = self.front.limits
        late_s = now_s - self.since_s
        exchange = self._current
        if self.phase == LINGER:
            if late_s > limits.linger_s or self.front.draining:
                self.abort()
        elif self._drained is not None:
            if late_s > limits.write_idle_s:
                self.abort()
        elif exchange is None:
            if self._in_head and self.phase == HEAD:
                if now_s - self._start.start_ns / 1e9 > limits.header_s:
                    self.refuse_unread(too_slow("request head", limits.header_s))
            elif late_s > limits.keep_alive_s:
                self.abort()
        elif not exchange.body.ended and not self._paused:
            if late_s > limits.body_idle_s:
                self._too_slow_body(exchange, limits.body_idle_s)
            elif (
                not exchange.is_streaming
                and now_s - exchange.clock.start_ns / 1e9 > limits.whole_body_s
            ):
                self._too_slow_body(exchange, limits.whole_body_s)

    def close_if_idle(self) -> None:
        """The server stops: an idle connection goes now, a busy one after its answer."""
        if self._current is None and self._transport is not None and not self.closed:
            self._transport.close()

    def _advance(self) -> None:
        self._current = None
        while self._queue and self._current is None and self._drained is None and not self.closed:
            exchange = self._current = self._queue.popleft()
            exchange.begin()
            if exchange.body.ended:
                exchange.run_operation()
        if self._paused and not self._queue:
            self.resume(QUEUED)
        if self._current is None and not self._queue:
            self.phase = HEAD if self._in_head else IDLE
            self.since_s = self.front.now_s
            if self._input_ended and not self.closed and self.phase != LINGER:
                self._close_gently()
        else:
            self.phase = BUSY

    def _swallow(self, size: int) -> None:
        self._swallowed_bytes += size
        if self.phase != LINGER and self._swallowed_bytes > self.front.limits.swallow_bytes_max:
            self._close_gently()

    def _close_gently(self) -> None:
        """Say goodbye and listen on for a while: a plain close resets what is still on its way."""
        self._current = None
        self._end_input()
        self._drop_queue()
        if self._transport is None or self.closed or self.phase == LINGER:
            return
        if self._client_is_done:
            self._transport.close()
            return
        self.phase = LINGER
        self.since_s = self.front.now_s
        self.resume(QUEUED | BUFFERED | BUDGET)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _drop_queue(self) -> None:
        for exchange in self._queue:
            exchange.body.settle()
        self._queue.clear()

    def _end_input(self) -> None:
        self._input_ended = True
        self._in_head = False

    def _broken(self, error: Exception) -> None:
        last = self._last
        if last is not None and not last.body.ended:
            # Inside a body: that request itself is the malformed one.
            self._end_input()
            refusal = malformed("The request body is not valid HTTP: %s." % error)
            if last is self._current:
                last.fail(refusal)
            else:
                last.broken = refusal
                last.body.end()
            return
        if last is not None and last.close_after:
            self._end_input()
            return
        self.refuse_unread(malformed("The request is not valid HTTP: %s." % error))

    def _head_is_too_large(self) -> bool:
        limits = self.front.limits
        if self._header_bytes + self._read_bytes > limits.header_bytes_max:
            size = len(self._url) + sum(map(len, self._fields))
            if size + 2 * len(self._fields) > limits.header_bytes_max:
                return self._head_too_large()
        if len(self._fields) > 2 * limits.header_count_max:
            limit = limits.header_count_max
            self.refuse_unread(malformed("The request has over %d headers." % limit, status=431))
            return True
        return False

    def _head_too_large(self) -> bool:
        limit = self.front.limits.header_bytes_max
        self.refuse_unread(malformed("The request head is over %d bytes." % limit, status=431))
        return True

    def _too_slow_body(self, exchange: Exchange, limit_s: float) -> None:
        self._end_input()
        exchange.fail(too_slow("request body", limit_s))

    def _wake_writer(self) -> None:
        waiter, self._drained = self._drained, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
