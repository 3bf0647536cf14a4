"""Bodies on their way into the log: in one entry if small, as chunks if large.

A body of up to 256 KiB rides in its command. A larger one, or one of unknown length, is cut into
chunks that are submitted as they arrive, a bounded window of them in flight; the final command
names them and is submitted when all of them are known to be durable, so that no resend of a chunk
can come after it. If anything fails, or the client leaves, the chunks are given up by AbortUpload;
should that not get through either, they expire.

The CRC-64 of each chunk is the one on disk. MD5 is computed only if the client sent one: at half a
gigabyte a second it would be the dearest part of a large write, and CRC-64/NVME, which we return,
guards the same bytes. So a blob has a Content-MD5 exactly if its client gave one.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, cast

from storage_core.catalog.commands import (
    CHUNK_BYTES,
    INLINE_BODY_BYTES_MAX,
    AbortUpload,
    Chunk,
    Outcome,
    PutBlob,
    PutBlock,
)
from storage_core.errors import StoreError
from storage_core.frontend import headers as values
from storage_core.frontend import replies
from storage_core.frontend.body import BUFFERED_BYTES_MAX
from storage_core.frontend.refusals import Refusal
from storage_core.frontend.responder import of_outcome
from storage_core.io.checksum import crc64
from telemetry import names
from telemetry.tracing import StageClock

if TYPE_CHECKING:
    from storage_core.frontend.exchange import Exchange
    from storage_core.frontend.front import FrontEnd

log = logging.getLogger(__name__)

# MD5 of this much takes 0.1 ms; more goes to the hashing thread.
_MD5_INLINE_BYTES_MAX: Final = 64 * 1024


def answer(x: Exchange) -> None:
    """The whole body is here and fits into one entry."""
    body = x.body.take_all()
    if x.length is not None and len(body) != x.length:
        raise Refusal("InvalidInput", close=True)
    if b"content-md5" in x.headers:
        if len(body) > _MD5_INLINE_BYTES_MAX:
            x.run(_answer_hashed(x, body))
            return
        _check_md5(x, hashlib.md5(body).digest())
    _submit_inline(x, body)


async def _answer_hashed(x: Exchange, body: bytes) -> None:
    md5 = hashlib.md5()
    await asyncio.get_running_loop().run_in_executor(x.front.hashing, md5.update, body)
    _check_md5(x, md5.digest())
    _submit_inline(x, body)


def _submit_inline(x: Exchange, body: bytes) -> None:
    x.crc = crc = crc64(body)
    if x.shape.tells_checksum:
        _check_crc(x, crc)
    x.clock.stamp(names.CHECKSUM)
    command = x.command
    assert type(command) is PutBlob or type(command) is PutBlock, command
    if command.size_bytes != len(body):
        command = command._replace(size_bytes=len(body))
    x.submit(command, _stored, body, crc)


def _check_crc(x: Exchange, crc: int) -> None:
    expected = values.content_crc64(x.headers)
    if expected is not None and expected != crc:
        raise Refusal("Crc64Mismatch")


def _check_md5(x: Exchange, digest: bytes) -> None:
    expected = values.content_md5(x.headers, b"content-md5")
    if expected and expected != digest:
        raise Refusal("Md5Mismatch")


def _stored(x: Exchange, outcome: Outcome) -> None:
    """Put Blob and Put Block say the same, but that an uncommitted block has no ETag."""
    if type(x.command) is PutBlob:
        lines = replies.written(outcome, x.crc)
    else:
        crc_text = values.crc64_text(x.crc)
        lines = "x-ms-content-crc64: %s\r\nx-ms-request-server-encrypted: false\r\n%s" % (
            crc_text,
            replies.receipt(outcome, crc_text),
        )
    md5 = x.headers.get(b"content-md5")
    if md5:
        lines += "Content-MD5: %s\r\n" % values.text(md5)
    x.reply(201, lines)


class _Window:
    """Chunks of one upload that are submitted and not yet durable."""

    __slots__ = ("_bytes_max", "_in_flight_bytes", "_waiter", "error")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._in_flight_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self.error: Refusal | StoreError | None = None

    def opened(self, size: int) -> None:
        self._in_flight_bytes += size

    def closed(self, size: int, result: Outcome | StoreError) -> None:
        self._in_flight_bytes -= size
        if isinstance(result, StoreError):
            self.error = self.error or result
        elif result.code:
            self.error = self.error or of_outcome(result)
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def room(self) -> None:
        """Until one more chunk may go. Raises what became of an earlier one."""
        while self.error is None and self._in_flight_bytes + CHUNK_BYTES > self._bytes_max:
            await self._change()
        if self.error is not None:
            raise self.error

    async def empty(self) -> None:
        """Until nothing is in flight, whatever became of it."""
        while self._in_flight_bytes:
            await self._change()

    async def _change(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter


async def stream(x: Exchange) -> None:
    """A body that is too large for one entry, or that doesn't say how large it is."""
    if x.length is None:
        first = await x.body.read(INLINE_BODY_BYTES_MAX)
        if x.body.ended and not x.body.buffered_bytes:
            x.clock.stamp(names.BODY)
            md5 = b"content-md5" in x.headers
            _check_md5(x, hashlib.md5(first).digest() if md5 else b"")
            _submit_inline(x, first)
            return
    else:
        first = b""
    # The chunk in hand and what is buffered behind it count against the window as well.
    in_flight_bytes_max = x.front.limits.upload_window_bytes - CHUNK_BYTES - 2 * BUFFERED_BYTES_MAX
    window = _Window(max(CHUNK_BYTES, in_flight_bytes_max))
    upload_id = x.store.upload_id()
    try:
        await _stream_chunks(x, first, window, upload_id)
    except BaseException:
        x.front.spawn(_abort(x.front, window, upload_id))
        raise


async def _stream_chunks(x: Exchange, first: bytes, window: _Window, upload_id: bytes) -> None:
    command = cast("PutBlob | PutBlock", x.command)
    block_id = command.block_id if isinstance(command, PutBlock) else b""
    operation = x.operation
    assert operation is not None, "it chose this function"
    loop = asyncio.get_running_loop()
    clock, body = x.clock, x.body
    md5 = hashlib.md5() if b"content-md5" in x.headers else None
    crc, size, count = 0, 0, 0
    data = first or await body.read(CHUNK_BYTES)
    while data:
        clock.stamp(names.BODY)
        size += len(data)
        if size > operation.body_bytes_max:
            raise Refusal("RequestBodyTooLarge", [("MaxLimit", "%d" % operation.body_bytes_max)])
        chunk = Chunk(upload_id, count, command.account, command.container, command.blob, block_id)
        chunk_crc = crc64(data)
        crc = crc64(data, crc) if count else chunk_crc
        count += 1
        clock.stamp(names.CHECKSUM)
        await window.room()
        _submit_chunk(x, chunk, data, chunk_crc, window)
        if md5 is not None:
            await loop.run_in_executor(x.front.hashing, md5.update, data)
        clock.fold()
        data = await body.read(CHUNK_BYTES)
    _check_crc(x, crc)
    _check_md5(x, md5.digest() if md5 is not None else b"")
    await window.empty()
    await window.room()
    x.crc = crc
    final = command._replace(size_bytes=size, upload_id=upload_id, chunk_count=count)
    if isinstance(final, PutBlob):
        final = final._replace(crc64=crc)
    outcome = await x.store.submit(final, b"", 0, clock=clock, deadline_us=x.deadline_us)
    if outcome.code:
        raise of_outcome(outcome)
    x.conclude(outcome, _stored)


def _submit_chunk(x: Exchange, chunk: Chunk, data: bytes, crc: int, window: _Window) -> None:
    size = len(data)
    window.opened(size)

    def done(result: Outcome | StoreError) -> None:
        x.body.give_back(size)
        window.closed(size, result)

    x.store.submit_then(
        chunk,
        data,
        crc,
        clock=x.clock,
        # An upload may take hours; each of its chunks may not.
        deadline_us=x.deadline_us,
        on_done=done,
    )


async def _abort(front: FrontEnd, window: _Window, upload_id: bytes) -> None:
    """Give up the chunks, after the last of them, so that none comes behind and stays."""
    await window.empty()
    deadline_us = monotonic_ns() // 1000 + front.request_us
    clock = StageClock(names.UNKNOWN)
    try:
        await front.store.submit(
            AbortUpload(upload_id), b"", 0, clock=clock, deadline_us=deadline_us
        )
    except StoreError as error:
        log.info("upload left to expire", extra={"reason": str(error)})
