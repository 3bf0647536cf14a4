"""Reads of a blob: Get Blob, Get Blob Properties, Get Blob Metadata.

A small answer from memory is made and written in the same call that parsed the request: no task,
no future. A large one is a task that reads one body ahead of the client and waits while the client
is slower. Its extents are taken from the catalog a window at a time; between windows the blob may
have been replaced, and then the answer is cut, since nobody can make the promised rest.

Cleaning moves bodies while they are read. A body that fails its checksum is looked up once more
before it is called damaged: it may simply live elsewhere by now.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final

from storage_core.catalog.conditions import read_refusal
from storage_core.errors import DamagedBody
from storage_core.frontend import headers as values
from storage_core.frontend import replies
from storage_core.frontend.body import ClientGone
from storage_core.frontend.headers import ByteRange
from storage_core.frontend.limits import AT_ONCE_BYTES_MAX, PIECE_WINDOW_BYTES
from storage_core.frontend.refusals import Refusal
from storage_core.io.checksum import crc64
from telemetry import names

if TYPE_CHECKING:
    from storage_core.catalog.extents import Piece
    from storage_core.catalog.rows import BlobRow
    from storage_core.frontend.exchange import Exchange

_GET_MD5: Final = b"x-ms-range-get-content-md5"
_GET_CRC64: Final = b"x-ms-range-get-content-crc64"


def blob_not_found(x: Exchange) -> Refusal:
    """Which of the two is missing."""
    if x.view().container(x.target.account, x.target.container) is None:
        return Refusal("ContainerNotFound")
    return Refusal("BlobNotFound")


def _found(x: Exchange) -> BlobRow:
    """The blob, if it is there and as the conditions of the request want it."""
    target = x.target
    row = x.view().blob(target.account, target.container, target.blob)
    if row is None:
        raise blob_not_found(x)
    if not x.shape.is_conditional:
        return row
    refused = read_refusal(values.conditions(x.headers), row.etag, row.last_modified_ms)
    if refused:
        is_same = refused == "NotModified"
        headers = [("ETag", row.etag)] if is_same else []
        raise Refusal("ConditionNotMet", status=304 if is_same else 412, headers=headers)
    return row


def get_blob_properties(x: Exchange) -> None:
    """Get Blob Properties."""
    x.when_readable(_get_blob_properties)


def _get_blob_properties(x: Exchange) -> None:
    row = _found(x)
    x.reply_head(200, replies.whole_blob(row), row.size)


def get_blob_metadata(x: Exchange) -> None:
    """Get Blob Metadata."""
    x.when_readable(_get_blob_metadata)


def _get_blob_metadata(x: Exchange) -> None:
    row = _found(x)
    lines = replies.versioned(row.etag, row.last_modified_ms)
    x.reply(200, lines + replies.metadata(row.metadata))


def get_blob(x: Exchange) -> None:
    """Get Blob."""
    x.when_readable(_get_blob)


def _get_blob(x: Exchange) -> None:
    row = _found(x)
    size = row.size
    asked = values.byte_range(x.headers, size) if x.shape.has_range else None
    part = asked or ByteRange(0, size)
    length = part.stop - part.start
    if asked is None:
        status = 200
        lines = replies.whole_blob(row)
    else:
        status = 206
        lines = replies.blob(row)
        lines += "Content-Range: bytes %d-%d/%d\r\n" % (part.start, part.stop - 1, size)
        if row.content_md5:
            lines += "x-ms-blob-content-md5: %s\r\n" % replies.md5_text(row.content_md5)
        if _GET_MD5 in x.headers or _GET_CRC64 in x.headers:
            _check_checked_range(x, length)
            x.run(_send_checked(x, row, part, lines))
            return
    if not length:
        x.reply(status, lines)
        return
    if length <= AT_ONCE_BYTES_MAX:
        if asked is None and row.extent_count == 1:
            body: bytes | memoryview | None = x.store.read_cached(row.extents[0])
        else:
            body = _at_once(x, row.pieces(part.start, length))
        if body is not None:
            x.clock.stamp(names.CACHE)
            x.reply(status, lines, body)
            return
    x.run(_send(x, row, part, status, lines))


def _at_once(x: Exchange, pieces: tuple[Piece, ...]) -> bytes | memoryview | None:
    """The bytes of all pieces if none of them has to be waited for."""
    if len(pieces) == 1:
        extent, skip, length = pieces[0]
        body = x.store.read_cached(extent)
        if body is None or length == len(body):
            return body
        return memoryview(body)[skip : skip + length]
    parts = []
    for extent, skip, length in pieces:
        body = x.store.read_cached(extent)
        if body is None:
            return None
        parts.append(body if length == len(body) else body[skip : skip + length])
    return b"".join(parts)


def _check_checked_range(x: Exchange, length: int) -> None:
    limit = x.front.limits.checked_range_bytes_max
    if length > limit:
        fields = [("Reason", "A checksum is made of up to %d bytes." % limit)]
        raise Refusal("OutOfRangeInput", fields)


class _Reader:
    """The pieces of one part of a blob in order, one read ahead of who takes them."""

    def __init__(self, x: Exchange, row: BlobRow, part: ByteRange) -> None:
        self._x = x
        self._layout_id = row.layout_id
        self._row: BlobRow | None = row
        self._at = part.start
        self._stop = part.stop
        self._pieces: list[Piece] = []
        self._ahead: asyncio.Future[bytes] | None = None

    async def next(self) -> bytes | memoryview:
        """The bytes that follow; at least one. Raises DamagedBody, or a Refusal if it's gone."""
        piece = self._next_piece()
        ahead, self._ahead = self._ahead, None
        try:
            body = await (ahead if ahead is not None else self._read(piece))
        except DamagedBody:
            piece = self._looked_up_again(piece)
            body = await self._read(piece)
        self._at += piece.length
        self._read_ahead()
        if piece.length == len(body):
            return body
        return memoryview(body)[piece.skip : piece.skip + piece.length]

    @property
    def is_done(self) -> bool:
        return self._at >= self._stop

    def close(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and not ahead.cancel() and not ahead.cancelled():
            # Nobody wants it any more; what became of it must not be reported as forgotten.
            ahead.exception()

    async def _read(self, piece: Piece) -> bytes:
        body = self._x.store.read_cached(piece.extent)
        if body is None:
            body = await self._x.store.read(piece.extent, clock=self._x.clock)
        return body

    def _next_piece(self) -> Piece:
        if not self._pieces:
            self._fill()
        return self._pieces.pop()

    def _fill(self) -> None:
        row, self._row = self._row or self._same_blob(), None
        length = min(self._stop - self._at, PIECE_WINDOW_BYTES)
        self._pieces = list(reversed(row.pieces(self._at, length)))
        assert self._pieces, "the extents of a blob add up to its size"

    def _same_blob(self) -> BlobRow:
        target = self._x.target
        row = self._x.view().blob(target.account, target.container, target.blob)
        if row is None or row.layout_id != self._layout_id:
            raise ClientGone("the blob was replaced while it was read")
        return row

    def _looked_up_again(self, piece: Piece) -> Piece:
        self._fill()
        fresh = self._pieces.pop()
        if fresh.extent == piece.extent:
            raise DamagedBody(piece.extent.segment_seq, piece.extent.offset)
        return fresh

    def _read_ahead(self) -> None:
        if self._pieces and self._x.store.read_cached(self._pieces[-1].extent) is None:
            self._ahead = asyncio.ensure_future(self._read(self._pieces[-1]))


async def _send(x: Exchange, row: BlobRow, part: ByteRange, status: int, lines: str) -> None:
    reader = _Reader(x, row, part)
    try:
        # The first bytes are read before the head is sent: a damaged blob gets an honest status.
        data = await reader.next()
        x.clock.stamp(names.DISK)
        x.start_stream(status, lines, part.stop - part.start)
        while True:
            await x.send(data)
            x.clock.stamp(names.RESPOND)
            if reader.is_done:
                break
            data = await reader.next()
            x.clock.stamp(names.DISK)
            x.clock.fold()
    finally:
        reader.close()
    x.end_stream()


async def _send_checked(x: Exchange, row: BlobRow, part: ByteRange, lines: str) -> None:
    """A part of bounded size with the checksums that the client asked for."""
    reader = _Reader(x, row, part)
    try:
        pieces = []
        while not reader.is_done:
            pieces.append(await reader.next())
    finally:
        reader.close()
    body = b"".join(pieces)
    x.clock.stamp(names.DISK)
    if x.headers.get(_GET_MD5, b"").lower() == b"true":
        md5 = hashlib.md5()
        await asyncio.get_running_loop().run_in_executor(x.front.hashing, md5.update, body)
        lines += "Content-MD5: %s\r\n" % replies.md5_text(md5.digest())
    if x.headers.get(_GET_CRC64, b"").lower() == b"true":
        lines += "x-ms-content-crc64: %s\r\n" % values.crc64_text(crc64(body))
    x.clock.stamp(names.CHECKSUM)
    x.reply(206, lines, body)
