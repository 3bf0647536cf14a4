"""One request and its answer: understood, authenticated, routed, run, answered, counted.

The way from the head to the answer has no task in it. An operation is a function that answers at
once, or hands the store a callback, or, if it must wait more than once, asks for a task. Whatever
it raises is turned into an answer here, in one place: a Refusal into its code, a StoreError into
the code it carries, anything else into InternalError without a word about the cause.

What holds: an exchange is answered exactly once; its stage clock is closed exactly once; after the
answer nothing of it is written to the connection.

Read next: `router` for which function runs, `http` for the connection it runs on.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from storage_core.errors import StoreError
from storage_core.frontend import headers as values
from storage_core.frontend import router, xml
from storage_core.frontend.body import Body, ClientGone
from storage_core.frontend.limits import VERSION_MIN
from storage_core.frontend.refusals import TABLE, Refusal, bad_header, bad_parameter, malformed
from storage_core.frontend.target import Target, check_names, parse
from telemetry import names
from telemetry.tracing import StageClock

if TYPE_CHECKING:
    from storage_core.catalog.commands import Command, Outcome
    from storage_core.catalog.view import CatalogView
    from storage_core.frontend.http import Connection

log = logging.getLogger(__name__)

SERVER: Final = "Holdfast-Blob/1.0"
GROUP_ID: Final = 1
ONE_WRITE_BYTES_MAX: Final = 16 * 1024
_CLIENT_ID_BYTES_MAX: Final = 1024
_VERSION_MIN: Final = VERSION_MIN.encode()
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_TARGET: Final = Target(b"/", "", "", "", ())
# Two of these and two readers of the request may disagree on what it says.
_JOINED: Final = b"x-ms-"
REASONS: Final = {
    200: "OK", 201: "Created", 202: "Accepted", 206: "Partial Content", 304: "Not Modified",
    400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 409: "Conflict", 411: "Length Required", 412: "Precondition Failed",
    413: "Content Too Large", 416: "Range Not Satisfiable", 417: "Expectation Failed",
    431: "Request Header Fields Too Large", 500: "Internal Server Error",
    503: "Service Unavailable",
}  # fmt: skip

Then = Callable[["Exchange", "Outcome"], None]


class Exchange:
    """Owned by one connection."""

    __slots__ = (
        "_client_id", "_late", "_raw", "_request_id", "_task", "_then", "_url", "_version",
        "answered", "answering", "body", "broken", "clock", "close_after", "connection",
        "deadline_us", "front", "headers", "length", "method", "operation", "operations",
        "sent_bytes", "status", "store", "target",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        clock: StageClock,
        method: bytes,
        url: bytes,
        raw: list[tuple[bytes, bytes]],
        *,
        keep_alive: bool,
    ) -> None:
        front = connection.front
        self.connection = connection
        self.front = front
        self.store = front.store
        self.clock = clock
        self.method = method
        self.target = _NO_TARGET
        self.headers = {name.lower(): value for name, value in raw}
        self.close_after = not keep_alive
        self.body = Body(front.budget, self._has_room)
        self.length: int | None = None
        self.operation: router.Operation | None = None
        self.deadline_us = 0
        self.answered = False
        self.answering = False
        self.broken: Refusal | None = None
        self.status = 0
        self.sent_bytes = 0
        self._raw = raw
        self._url = url
        self._task: asyncio.Task[None] | None = None
        self._then: Then | None = None
        self._late: Callable[[], Coroutine[None, None, Sequence[object]]] | None = None
        self._client_id = b""
        self._version = ""
        self._request_id = ""

    # -- the head ---------------------------------------------------------------------------

    def begin(self) -> None:
        """The head is here and it's this exchange's turn."""
        clock = self.clock
        clock.stamp(names.RECEIVE)
        try:
            if self.broken is not None:
                raise self.broken
            self._understand()
            clock.stamp(names.AUTHORIZE)
            operation = router.route(self.method, self.target, self.headers)
            clock.operation = operation.number
            self.operation = operation
            check_names(self.target)
            self._admit(operation)
            clock.stamp(names.PARSE)
        except Refusal as refusal:
            self.refuse(refusal)
        except Exception:
            self._failed("request head")

    def _understand(self) -> None:
        headers = self.headers
        if len(headers) != len(self._raw):
            self._join_repeated()
        get = headers.get
        self._client_id = get(b"x-ms-client-request-id", b"")
        framing = get(b"transfer-encoding")
        if framing is not None:
            if framing.lower() != b"chunked":
                raise malformed("Transfer-Encoding must be chunked alone.", status=400)
        else:
            length = values.number(get(b"content-length", b"0"))
            if length is None:
                raise malformed("Content-Length is not a number.")
            self.length = length
        if self.method == b"CONNECT" or b"upgrade" in headers:
            if self.length != 0 or self.method == b"CONNECT":
                raise malformed("This server speaks HTTP/1.1 only.")
            self.close_after = True
        self.target = target = parse(self._url)
        self.deadline_us = self.clock.start_ns // 1000 + self.front.request_us
        parent = get(b"traceparent")
        if parent is not None:
            self.clock.follow(values.text(parent))
        self.front.authenticator.check(
            self.store.view(),
            method=self.method,
            headers=headers,
            account=target.account,
            path=target.path,
            query=target.query,
            now_ms=self.front.wall_ms(),
            loopback=self.connection.loopback,
        )
        self._check_version(get(b"x-ms-version"))
        if target.query:
            self._shorten_deadline(target.parameter("timeout"))

    def _check_version(self, version: bytes | None) -> None:
        if version is None:
            raise Refusal("MissingRequiredHeader", [("HeaderName", "x-ms-version")])
        if not values.is_version(version) or version < _VERSION_MIN:
            reason = "Versions from %s on are served." % VERSION_MIN
            raise bad_header("x-ms-version", values.text(version), reason)
        self._version = version.decode()

    def _shorten_deadline(self, timeout: str) -> None:
        if timeout:
            seconds = values.number(timeout.encode("utf-8", "surrogateescape"))
            if not seconds:
                raise bad_parameter("timeout", timeout, "A number of seconds is needed.")
            wish_us = self.clock.start_ns // 1000 + min(seconds, 3600) * 1_000_000
            self.deadline_us = min(self.deadline_us, wish_us)

    def _join_repeated(self) -> None:
        joined: dict[bytes, bytes] = {}
        for name, value in self._raw:
            name = name.lower()
            if name in joined:
                if not name.startswith(_JOINED):
                    raise malformed("The header %s is given twice." % values.text(name))
                value = joined[name] + b"," + value
            joined[name] = value
        self.headers = joined

    def _admit(self, operation: router.Operation) -> None:
        """Decide how the body is taken, and let an expecting client send it."""
        if operation.body == router.NO_BODY:
            if self.length != 0 and self.headers.get(b"expect"):
                self.close_after = True
            return
        limit = operation.body_limit(self.front.limits)
        length = self.length
        if length is not None and length > limit:
            raise Refusal("RequestBodyTooLarge", [("Limit", "%d bytes" % limit)])
        if operation.prepare is not None:
            operation.prepare(self)
        expect = self.headers.get(b"expect")
        if expect is not None:
            if expect.lower() != b"100-continue":
                fields = [("HeaderName", "Expect"), ("HeaderValue", values.text(expect))]
                raise Refusal("InvalidHeaderValue", fields, status=417, close=True)
            self.connection.write(_CONTINUE)
        if operation.body == router.STREAM and (length is None or length > router.INLINE_MAX):
            assert operation.stream is not None, operation
            self.run(operation.stream(self))

    # -- the body ---------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        body = self.body
        operation = self.operation
        body.feed(data)
        if operation is not None and operation.body == router.NO_BODY:
            body.drop()
            if body.received_bytes > self.front.limits.swallow_bytes_max:
                self.fail(Refusal("RequestBodyTooLarge", close=True))
        elif body.is_over or self.front.budget.is_full:
            self._slow_down()

    def _slow_down(self) -> None:
        """This request holds enough, or all of them do."""
        if self._task is not None:
            self.connection.pause_for_body()
        elif self.operation is not None and self.length is None:
            limit = self.operation.body_limit(self.front.limits)
            if self.body.received_bytes > limit:
                self.fail(Refusal("RequestBodyTooLarge", [("Limit", "%d bytes" % limit)]))

    def _has_room(self) -> None:
        if not self.body.is_over:
            self.connection.resume_for_body()

    def end_of_request(self) -> None:
        """The last byte of the request is here; it may not be this exchange's turn yet."""
        self.body.end()
        if self.answered:
            self.connection.finished(self)
        elif self.operation is not None:
            self.run_if_whole()

    def run_if_whole(self) -> None:
        operation = self.operation
        if self._task is None and operation is not None and not self.answered:
            self.clock.stamp(names.BODY)
            self.attempt(operation.answer)

    def client_gone(self, error: ClientGone) -> None:
        self.body.fail(error)
        if self._task is None and not self.answered and not self.body.ended:
            self._settle(499)

    def fail(self, refusal: Refusal) -> None:
        """The request can't be read on: answer now, through whoever is at work on it."""
        if self._task is not None:
            self.body.fail(refusal)
        elif not self.answered:
            self.refuse(refusal)

    def whole_body(self) -> bytes:
        return self.body.take_all()

    def release(self, size: int) -> None:
        """`size` bytes of this body are replicated, or given up."""
        if size:
            self.front.budget.give_back(size)

    # -- running ----------------------------------------------------------------------------

    def attempt(self, function: Callable[[Exchange], None]) -> None:
        try:
            function(self)
        except Refusal as refusal:
            self.refuse(refusal)
        except StoreError as error:
            self.refuse(of_store_error(error))
        except Exception:
            self._failed("operation")

    def run(self, work: Coroutine[None, None, None]) -> None:
        """Do what waits more than once, as a task that the front end keeps and drains."""
        self._task = task = asyncio.get_running_loop().create_task(self._guarded(work))
        self.front.tasks.add(task)
        task.add_done_callback(self.front.tasks.discard)

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Refusal as refusal:
            self.refuse(refusal)
        except StoreError as error:
            self.refuse(of_store_error(error))
        except ClientGone:
            self._cut_off(499)
        except Exception:
            self._failed("operation")

    def submit(self, command: Command, body: bytes, body_crc: int, then: Then) -> None:
        """Replicate `command`; on success `then` answers, a refused one is answered here."""
        self._then = then
        self.store.submit_then(
            command,
            body,
            body_crc,
            clock=self.clock,
            deadline_us=self.deadline_us,
            on_done=self._submitted,
        )

    def _submitted(self, result: Outcome | StoreError) -> None:
        try:
            self.release(self.body.received_bytes)
            if isinstance(result, StoreError):
                self.refuse(of_store_error(result))
            else:
                then = self._then
                assert then is not None, "submit set it"
                self.conclude(result, then)
        except Exception:
            self._failed("outcome")

    def conclude(self, outcome: Outcome, then: Then) -> None:
        """Answer a write by its outcome."""
        if outcome.code:
            self.refuse(of_outcome(outcome))
        else:
            self._late = functools.partial(self.store.replication_stages, outcome.index)
            then(self, outcome)

    def when_readable(self, function: Callable[[Exchange], None]) -> None:
        """Run `function` when the view shows every acknowledged write."""
        store = self.store
        if store.can_read_now():
            function(self)
            return

        def ready(error: StoreError | None) -> None:
            if error is not None:
                self.refuse(of_store_error(error))
            else:
                self.attempt(function)

        store.read_barrier_then(clock=self.clock, deadline_us=self.deadline_us, on_ready=ready)

    def view(self) -> CatalogView:
        return self.store.view()

    # -- the answer -------------------------------------------------------------------------

    def head(self, status: int, lines: str, length: int | None) -> bytes:
        """The answer's head. `lines` are whole header lines, checked by who made them."""
        front = self.front
        client_id = self._client_id
        if client_id and len(client_id) <= _CLIENT_ID_BYTES_MAX and client_id.isascii():
            lines += "x-ms-client-request-id: " + client_id.decode() + "\r\n"
        if self.connection.leaving():
            self.close_after = True
        if self.close_after:
            lines += "Connection: close\r\n"
        if length is not None:
            lines += "Content-Length: %d\r\n" % length
        return (
            "HTTP/1.1 %d %s\r\nServer: %s\r\nx-ms-request-id: %s\r\nx-ms-version: %s\r\n"
            "Date: %s\r\n%s\r\n"
            % (
                status, REASONS[status], SERVER, self.request_id(),
                self._version or VERSION_MIN, front.date(), lines,
            )
        ).encode("latin-1")  # fmt: skip

    def request_id(self) -> str:
        if not self._request_id:
            self._request_id = self.front.next_request_id()
        return self._request_id

    def reply(self, status: int, lines: str, body: bytes | memoryview = b"") -> None:
        """The whole answer, in one write if it is small."""
        assert not self.answered, "one answer to one question"
        size = len(body)
        head = self.head(status, lines, None if status == 304 else size)
        if self.method == b"HEAD" or not size:
            self.connection.write(head)
        elif size <= ONE_WRITE_BYTES_MAX:
            self.connection.write(b"%b%b" % (head, body))
        else:
            self.connection.writelines([head, body])
        self.sent_bytes = size
        self._settle(status)

    def reply_head_only(self, status: int, lines: str, length: int) -> None:
        """The answer to HEAD: the length of what GET would send."""
        self.connection.write(self.head(status, lines, length))
        self._settle(status)

    def start_stream(self, status: int, lines: str, length: int) -> None:
        self.answering = True
        self.connection.write(self.head(status, lines, length))
        self.status = status

    def end_stream(self) -> None:
        self._settle(self.status)

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error of the service, unless it is too late for any answer."""
        if self.answered:
            return
        if self.answering:
            # Part of a good answer has left. Only a cut tells the client that it isn't whole.
            self._cut_off(refusal.status, refusal.code)
            return
        self.body.drop()
        if refusal.close or (not self.body.ended and not self._rest_is_small()):
            self.close_after = True
        document = xml.error_document(refusal, self.request_id(), self.front.wall_ms())
        lines = "x-ms-error-code: %s\r\n" % refusal.code
        for name, value in refusal.headers:
            lines += "%s: %s\r\n" % (name, value)
        if refusal.status == 304:
            document = b""
        else:
            lines += "Content-Type: application/xml\r\n"
        head = self.head(refusal.status, lines, None if refusal.status == 304 else len(document))
        self.connection.write(head if self.method == b"HEAD" else head + document)
        self._settle(refusal.status, refusal.code)

    def _rest_is_small(self) -> bool:
        if self.length is None or b"expect" in self.headers:
            return False
        rest = self.length - self.body.received_bytes
        return rest <= self.front.limits.swallow_bytes_max

    def _cut_off(self, status: int, error: str = "ClientGone") -> None:
        if not self.answered:
            self.body.drop()
            self._settle(status, error)
            self.connection.abort()

    def _failed(self, what: str) -> None:
        log.exception("request failed", extra={"what": what, "request_id": self.request_id()})
        self.refuse(Refusal("InternalError", close=True))

    def _settle(self, status: int, error: str = "") -> None:
        """Answered: close the clock, count, let the connection go on."""
        self.answered = True
        self.status = status
        clock = self.clock
        clock.stamp(names.RESPOND)
        self.front.finish(
            clock,
            status=status,
            bytes_in=self.body.received_bytes,
            bytes_out=self.sent_bytes,
            error=error,
            later=self._late,
        )
        self.connection.finished(self)


def of_outcome(outcome: Outcome) -> Refusal:
    """A command that was decided against."""
    assert outcome.code in TABLE, outcome.code
    detail = outcome.detail.decode("utf-8", "replace")
    return Refusal(outcome.code, [("Detail", detail)] if detail else [])


def of_store_error(error: StoreError) -> Refusal:
    """What the store could not do. Only its own words about the outcome leave the house."""
    outcome = getattr(error, "outcome", "")
    fields = [("Outcome", outcome)] if outcome else []
    retry = [("Retry-After", "1")] if error.retry_safe else []
    return Refusal(error.code, fields, status=error.status, headers=retry)


def header_value(value: str) -> str:
    """A stored name for a header line: header lines are ASCII."""
    return quote(value, safe="/-._~!$&'()*+,;=:@ ")
