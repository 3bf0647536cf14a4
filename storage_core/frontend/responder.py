"""How one request is answered: whole, as a stream, or with an error; and counted once.

Small answers leave in one write. Once a good answer has begun, nothing can be taken back: a
failure then cuts the connection, because only that tells a client that what it has isn't whole.
After a refusal the connection lives on if what is left of the request is small enough to swallow.

What holds: an exchange is settled exactly once, its stage clock with it, and writes nothing after.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Final

from storage_core.errors import StoreError
from storage_core.frontend import xml
from storage_core.frontend.body import Body
from storage_core.frontend.limits import ONE_WRITE_BYTES_MAX, VERSION_MIN
from storage_core.frontend.refusals import TABLE, Refusal
from telemetry import names

if TYPE_CHECKING:
    from storage_core.catalog.commands import Outcome
    from storage_core.frontend.http import Connection
    from storage_core.frontend.port import RemoteStage
    from telemetry.tracing import StageClock

log = logging.getLogger(__name__)

SERVER: Final = "Holdfast-Blob/1.0"
CLIENT_GONE_STATUS: Final = 499
_CLIENT_ID_BYTES_MAX: Final = 1024
_REASONS: Final = {
    200: "OK", 201: "Created", 202: "Accepted", 206: "Partial Content", 304: "Not Modified",
    400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 409: "Conflict", 411: "Length Required", 412: "Precondition Failed",
    413: "Content Too Large", 416: "Range Not Satisfiable", 417: "Expectation Failed",
    431: "Request Header Fields Too Large", 500: "Internal Server Error",
    503: "Service Unavailable",
}  # fmt: skip
_STATUS_LINES: Final = {
    status: "HTTP/1.1 %d %s\r\nServer: %s\r\nx-ms-request-id: " % (status, reason, SERVER)
    for status, reason in _REASONS.items()
}
assert {status for status, _ in TABLE.values()} <= set(_REASONS), "every status has its words"


class Responder:
    """The answering half of an exchange."""

    __slots__ = (
        "_client_id", "_request_id", "_version", "answered", "answering", "body", "clock",
        "close_after", "connection", "front", "later", "length", "method", "sent_bytes",
        "status",
    )  # fmt: skip

    def __init__(self, connection: Connection, clock: StageClock, method: bytes) -> None:
        self.connection = connection
        self.front = connection.front
        self.clock = clock
        self.method = method
        self.body = Body(connection.front.budget, connection.resume_body)
        # Bytes that the body declares; None: it's chunked, and nobody knows.
        self.length: int | None = 0
        self.close_after = False
        self.answering = False
        self.answered = False
        self.status = 0
        self.sent_bytes = 0
        self.later: Callable[[], Coroutine[None, None, Sequence[RemoteStage]]] | None = None
        self._client_id = b""
        self._version = VERSION_MIN
        self._request_id = ""

    def head(self, status: int, lines: str, length: int | None) -> bytes:
        """The answer's head. `lines` are whole header lines, checked by who made them."""
        front = self.front
        client_id = self._client_id
        if client_id and len(client_id) <= _CLIENT_ID_BYTES_MAX and client_id.isascii():
            lines = f"x-ms-client-request-id: {client_id.decode()}\r\n{lines}"
        if front.draining or self.connection.leaving():
            self.close_after = True
        if self.close_after:
            lines += "Connection: close\r\n"
        if length is not None:
            lines = f"Content-Length: {length}\r\n{lines}"
        return (
            f"{_STATUS_LINES[status]}{self.request_id()}\r\nx-ms-version: {self._version}\r\n"
            f"Date: {front.date()}\r\n{lines}\r\n"
        ).encode("latin-1")

    def request_id(self) -> str:
        if not self._request_id:
            self._request_id = self.front.next_request_id()
        return self._request_id

    def reply(self, status: int, lines: str, body: bytes | memoryview = b"") -> None:
        """The whole answer, in one write if it is small. HEAD gets the length alone."""
        assert not self.answered, "one answer to one question"
        size = len(body)
        head = self.head(status, lines, size)
        if not size or self.method == b"HEAD":
            self.connection.write(head)
        elif size <= ONE_WRITE_BYTES_MAX:
            self.connection.write(b"".join((head, body)))
            self.sent_bytes = size
        else:
            self.connection.writelines([head, body])
            self.sent_bytes = size
        self.settle(status)

    def reply_head(self, status: int, lines: str, length: int) -> None:
        """The answer to HEAD of something that is `length` bytes long."""
        self.connection.write(self.head(status, lines, length))
        self.settle(status)

    def start_stream(self, status: int, lines: str, length: int) -> None:
        """The head now, `length` bytes by `send`, then `end_stream`."""
        self.answering = True
        self.status = status
        self.connection.write(self.head(status, lines, length))

    async def send(self, data: bytes | memoryview) -> None:
        """Part of a streamed body; waits while the client is slower than we are."""
        self.connection.write(data)
        self.sent_bytes += len(data)
        await self.connection.drain()

    def end_stream(self) -> None:
        self.settle(self.status)

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error of the service, unless it is too late for any answer."""
        if self.answered:
            return
        if self.answering:
            self.cut_off(refusal.status, refusal.code)
            return
        if refusal.close or not (self.body.ended or self._rest_is_small()):
            self.close_after = True
        lines = "x-ms-error-code: %s\r\n" % refusal.code
        for name, value in refusal.headers:
            lines += "%s: %s\r\n" % (name, value)
        if refusal.status == 304:
            self.connection.write(self.head(304, lines, None))
        else:
            document = xml.error_document(refusal, self.request_id(), self.front.wall_ms())
            lines += "Content-Type: application/xml\r\n"
            head = self.head(refusal.status, lines, len(document))
            self.connection.write(head if self.method == b"HEAD" else head + document)
        self.settle(refusal.status, refusal.code)

    def _rest_is_small(self) -> bool:
        if self.length is None:
            return False
        rest = self.length - self.body.received_bytes
        return rest <= self.front.limits.swallow_bytes_max

    def cut_off(self, status: int, error: str) -> None:
        """End the connection where it is: no answer, or no more of one, can be given."""
        if not self.answered:
            self.settle(status, error)
            self.connection.abort()

    def failed(self, what: str) -> None:
        """In an except clause: our own fault, told to the log and not to the client."""
        log.exception("request failed", extra={"what": what, "request_id": self.request_id()})
        self.refuse(Refusal("InternalError", close=True))

    def settle(self, status: int, error: str = "") -> None:
        """Answered: close the clock, count, let the connection go on."""
        assert not self.answered, "one answer to one question"
        self.answered = True
        self.status = status
        if self.body.received_bytes:
            self.body.settle()
        clock = self.clock
        clock.stamp(names.RESPOND)
        self.front.finish(
            clock,
            status=status,
            bytes_in=self.body.received_bytes,
            bytes_out=self.sent_bytes,
            error=error,
            later=self.later,
        )
        self.connection.finished(self)


def of_outcome(outcome: Outcome) -> Refusal:
    """A command that was decided against."""
    detail = outcome.detail.decode("utf-8", "replace")
    return Refusal(outcome.code, [("Detail", detail)] if detail else [])


def of_store_error(error: StoreError) -> Refusal:
    """What the store could not do. Of its words, only those about the outcome are told."""
    outcome = getattr(error, "outcome", "")
    fields = [("Outcome", outcome)] if outcome else []
    retry = [("Retry-After", "1")] if error.retry_safe else []
    return Refusal(error.code, fields, status=error.status, headers=retry)
