"""One request: understood, authenticated, routed, its body taken, its operation run.

The way from the head to the answer has no task in it. An operation is a function that answers at
once, or hands the store a callback, or, if it must wait more than once, asks for a task. Whatever
it raises is turned into an answer here, in one place: a Refusal into its code, a StoreError into
the code it carries, anything else into InternalError without a word about the cause.

The signature is checked before a name is looked at or a body byte is taken.

Read next: `router` for which function runs, `responder` for the answer, `http` for the connection.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from storage_core.config import CANARY_ACCOUNT
from storage_core.errors import StoreError
from storage_core.frontend import headers as values
from storage_core.frontend import router
from storage_core.frontend.body import ClientGone
from storage_core.frontend.limits import VERSION_MIN
from storage_core.frontend.refusals import (
    Refusal,
    bad_header,
    bad_parameter,
    malformed,
    over_limit,
)
from storage_core.frontend.responder import (
    CLIENT_GONE_STATUS,
    Responder,
    of_outcome,
    of_store_error,
)
from storage_core.frontend.shape import Shape, shape_of
from storage_core.frontend.target import Target, check_names, parse
from telemetry import names

if TYPE_CHECKING:
    from storage_core.catalog.commands import Command, Metadata, Outcome
    from storage_core.catalog.view import CatalogView
    from storage_core.frontend.http import Connection
    from telemetry.tracing import StageClock

_VERSION_MIN: Final = VERSION_MIN.encode()
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_TARGET: Final = Target(b"/", "", "", "", ())
_NO_SHAPE: Final = Shape(())


class Exchange(Responder):
    """Owned by one connection. `received` are the names of its headers, `lines` their values."""

    __slots__ = (
        "_task", "_then", "_url", "_wait_us", "broken", "command", "crc", "headers", "lines",
        "operation", "received", "shape", "store", "target",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        clock: StageClock,
        method: bytes,
        url: bytes,
        received: tuple[bytes, ...],
        lines: list[bytes],
        *,
        keep_alive: bool,
    ) -> None:
        super().__init__(connection, clock, method)
        self.store = self.front.store
        self.target = _NO_TARGET
        self.headers: Mapping[bytes, bytes] = {}
        self.close_after = not keep_alive
        self.operation: router.Operation | None = None
        # How long the store may take; the time that the client takes for its body isn't counted.
        self._wait_us = self.front.request_us
        self.broken: Refusal | None = None
        self.received = received
        self.lines = lines
        self.shape = _NO_SHAPE
        # What the request's head asks for, until its body is here; and the body's checksum.
        self.command: Command | None = None
        self.crc = 0
        self._url = url
        self._task: asyncio.Task[None] | None = None
        self._then: Callable[[Exchange, Outcome], None] | None = None

    # -- the head ---------------------------------------------------------------------------

    def begin(self) -> None:
        """The head is here and it's this exchange's turn."""
        clock = self.clock
        clock.stamp(names.RECEIVE)
        try:
            if self.broken is not None:
                raise self.broken
            self._understand()
            self._authenticate()
            clock.stamp(names.AUTHORIZE)
            self.operation = operation = router.route(
                self.method, self.target, self.shape, self.headers
            )
            clock.operation = operation.number
            check_names(self.target)
            if operation.body != router.NO_BODY:
                self._admit_body(operation)
            elif self.shape.expects and self.length != 0:
                # A body without meaning is swallowed; a client that would wait isn't asked for it.
                self.close_after = True
            clock.stamp(names.PARSE)
        except Refusal as refusal:
            self.refuse(refusal)
        except StoreError as error:
            self.refuse(of_store_error(error))
        except Exception:
            self.failed("request head")

    def _understand(self) -> None:
        self.shape = shape = shape_of(self.received)
        headers = dict(zip(shape.names, self.lines, strict=True))
        if shape.is_repeated:
            headers = _joined(shape.names, self.lines)
        self.headers = headers
        if shape.has_client_id:
            self._client_id = headers[b"x-ms-client-request-id"]
        if shape.is_framed or self.method == b"CONNECT":
            self._measure(headers)
        self.target = parse(self._url)

    def _measure(self, headers: Mapping[bytes, bytes]) -> None:
        """How long the body says it is."""
        framing = headers.get(b"transfer-encoding")
        length = headers.get(b"content-length")
        if framing is not None:
            if framing.lower() != b"chunked":
                raise malformed("Transfer-Encoding must be chunked alone.")
            self.length = None
        elif length is not None:
            self.length = values.number(length)
            if self.length is None:
                raise malformed("Content-Length is not a number.")
        if self.method == b"CONNECT" or b"upgrade" in headers:
            if self.length != 0 or self.method == b"CONNECT":
                raise malformed("This server speaks HTTP/1.1 only.")
            self.close_after = True

    def _authenticate(self) -> None:
        front, target = self.front, self.target
        front.authenticator.check(self)
        self.clock.account = target.account
        if front.throttle.limits or target.account == CANARY_ACCOUNT:
            self._admit_account(target.account)
        version = self.headers.get(b"x-ms-version")
        if version is None:
            raise Refusal("MissingRequiredHeader", [("HeaderName", "x-ms-version")])
        if not values.is_version(version) or version < _VERSION_MIN:
            reason = "Versions from %s on are served." % VERSION_MIN
            raise bad_header("x-ms-version", values.text(version), reason)
        self._version = version.decode()
        if target.query:
            self._shorten_wait(target.parameter("timeout"))
        if self.shape.has_traceparent:
            self.clock.follow(values.text(self.headers[b"traceparent"]))

    def _admit_account(self, account: str) -> None:
        """Which lane it counts in, and whether that account may have another request now."""
        clock, throttle = self.clock, self.front.throttle
        if account == CANARY_ACCOUNT:
            clock.lane = names.LANE_CANARY
        if not throttle.admits(account, monotonic_ns() / 1e9):
            clock.lane = names.LANE_THROTTLED
            raise over_limit(account, throttle.limits[account], throttle.retry_after_s(account))

    def _shorten_wait(self, timeout: str) -> None:
        if timeout:
            seconds = values.number(timeout.encode("utf-8"))
            if not seconds:
                raise bad_parameter("timeout", timeout, "A number of seconds is needed.")
            self._wait_us = min(self._wait_us, seconds * 1_000_000)

    def _admit_body(self, operation: router.Operation) -> None:
        """Refuse what the head shows to be wrong, then let the body come."""
        length = self.length
        if length == 0 and b"content-length" not in self.headers:
            raise Refusal("MissingContentLengthHeader")
        if length is not None and length > operation.body_bytes_max:
            raise _too_large(operation)
        assert operation.prepare is not None, operation
        operation.prepare(self)
        expect = self.headers[b"expect"] if self.shape.expects else None
        is_large = length is None or length > router.INLINE_MAX
        if self.command is not None and (is_large or expect is not None):
            code = self.store.precheck(self.command)
            if code:
                raise Refusal(code)
        if expect is not None:
            if expect.lower() != b"100-continue":
                fields = [("HeaderName", "Expect"), ("HeaderValue", values.text(expect))]
                raise Refusal("InvalidHeaderValue", fields, status=417, close=True)
            self.connection.write(_CONTINUE)
        if is_large and operation.stream is not None:
            self.run(operation.stream(self))
        elif self.front.budget.is_full:
            self.connection.wait_for_budget()

    # -- the body ---------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Bytes of the body. Before this exchange's turn they are few, and just kept."""
        body = self.body
        body.feed(data)
        operation = self.operation
        if self._task is not None:
            if body.is_over or self.front.budget.is_full:
                self.connection.pause_body()
        elif operation is None:
            return
        elif operation.body == router.NO_BODY:
            body.drop()
            if body.received_bytes > self.front.limits.swallow_bytes_max:
                self.fail(Refusal("RequestBodyTooLarge", close=True))
        elif body.received_bytes > operation.body_bytes_max:
            self.fail(_too_large(operation))

    def end_of_request(self) -> None:
        """The last byte of the request is here; it may not be this exchange's turn yet."""
        self.body.end()
        if self.answered:
            self.connection.finished(self)
        else:
            self.run_operation()

    def run_operation(self) -> None:
        """All of the request is here."""
        if self.operation is not None and self._task is None and not self.answered:
            if self.body.received_bytes:
                self.clock.stamp(names.BODY)
            self.attempt(self.operation.answer)

    @property
    def is_streaming(self) -> bool:
        """Whether a task takes the body as it comes."""
        return self._task is not None and not self.body.ended

    def client_gone(self, error: ClientGone) -> None:
        """The connection is lost. What was asked in full is still done; nobody hears of it."""
        whole = self.body.ended
        self.body.fail(error)
        if self._task is None and not whole and not self.answered:
            self.settle(CLIENT_GONE_STATUS, "ClientGone")

    def fail(self, refusal: Refusal) -> None:
        """The request can't be read on: answer now, through whoever is at work on it."""
        if self._task is not None:
            self.body.fail(refusal)
        else:
            self.refuse(refusal)

    # -- running ----------------------------------------------------------------------------

    @property
    def deadline_us(self) -> int:
        """When what is asked of the store now must be answered."""
        return monotonic_ns() // 1000 + self._wait_us

    def attempt(self, function: Callable[[Exchange], None]) -> None:
        """Run `function`; what it raises is the answer."""
        try:
            function(self)
        except Refusal as refusal:
            self.refuse(refusal)
        except StoreError as error:
            self.refuse(of_store_error(error))
        except Exception:
            self.failed("operation")

    def run(self, work: Coroutine[None, None, None]) -> None:
        """Do what waits more than once, as a task that the front end keeps."""
        self._task = self.front.spawn(self._guarded(work))

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Refusal as refusal:
            self.refuse(refusal)
        except StoreError as error:
            self.refuse(of_store_error(error))
        except ClientGone:
            self.cut_off(CLIENT_GONE_STATUS, "ClientGone")
        except Exception:
            self.failed("operation")

    def submit(
        self,
        command: Command,
        then: Callable[[Exchange, Outcome], None],
        body: bytes = b"",
        crc: int = 0,
    ) -> None:
        """Replicate `command`; `then` answers if it's done, a refused one is answered here."""
        self._then = then
        self.store.submit_then(
            command,
            body,
            crc,
            clock=self.clock,
            deadline_us=self.deadline_us,
            on_done=self._submitted,
        )

    def _submitted(self, result: Outcome | StoreError) -> None:
        try:
            if isinstance(result, StoreError):
                self.refuse(of_store_error(result))
            else:
                assert self._then is not None, "submit set it"
                self.conclude(result, self._then)
        except Exception:
            self.failed("outcome")

    def conclude(self, outcome: Outcome, then: Callable[[Exchange, Outcome], None]) -> None:
        """Answer a write by its outcome."""
        if self.answered:
            return
        if outcome.code:
            self.refuse(of_outcome(outcome))
        else:
            self.later = functools.partial(self.store.replication_stages, outcome.index)
            then(self, outcome)

    def when_readable(self, function: Callable[[Exchange], None]) -> None:
        """Run `function` when the view shows every acknowledged write."""
        if self.store.can_read_now():
            function(self)
            return

        def ready(error: StoreError | None) -> None:
            if error is not None:
                self.refuse(of_store_error(error))
            else:
                self.attempt(function)

        self.store.read_barrier_then(clock=self.clock, deadline_us=self.deadline_us, on_ready=ready)

    def view(self) -> CatalogView:
        return self.store.view()

    def metadata(self) -> Metadata:
        """What the request's x-ms-meta- headers say, their case kept."""
        if not self.shape.has_metadata:
            return ()
        return values.metadata(list(zip(self.received, self.lines, strict=True)))


def _too_large(operation: router.Operation) -> Refusal:
    return Refusal("RequestBodyTooLarge", [("MaxLimit", "%d" % operation.body_bytes_max)])


def _joined(names: Sequence[bytes], lines: Sequence[bytes]) -> dict[bytes, bytes]:
    """Repeated x-ms- headers are joined by commas; of others, two may mean two readings."""
    joined: dict[bytes, bytes] = {}
    for name, value in zip(names, lines, strict=True):
        if name in joined:
            if not name.startswith(b"x-ms-"):
                raise malformed("The header %s is given twice." % values.text(name))
            value = joined[name] + b"," + value
        joined[name] = value
    return joined
