"""Blocks: Put Block, Put Block List, Get Block List.

A block id is any bytes, sent as base64; we keep the bytes. Whether the ids of one blob are equally
long and whether a list names blocks that exist is decided when the command is applied.
"""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Final

from storage_core.catalog.commands import (
    BLOCK_ID_BYTES_MAX,
    COMMITTED,
    LATEST,
    UNCOMMITTED,
    BlockChoice,
    Outcome,
    PutBlock,
    PutBlockList,
)
from storage_core.frontend import headers as values
from storage_core.frontend import replies, xml
from storage_core.frontend.limits import DOCUMENT_INLINE_BYTES_MAX
from storage_core.frontend.reads import blob_not_found
from storage_core.frontend.refusals import Refusal, bad_parameter
from storage_core.io.checksum import crc64

if TYPE_CHECKING:
    from storage_core.frontend.exchange import Exchange

_SOURCES: Final = {"Committed": COMMITTED, "Uncommitted": UNCOMMITTED, "Latest": LATEST}
_KINDS: Final = ("committed", "uncommitted", "all")


def block_id_of(text: str) -> bytes:
    """The bytes that `text` is the base64 of."""
    try:
        raw = text.encode("ascii")
        block_id = b64decode(raw, validate=True)
    except (Base64Error, UnicodeEncodeError, ValueError):
        raise Refusal("InvalidBlockId") from None
    if not 0 < len(block_id) <= BLOCK_ID_BYTES_MAX or b64encode(block_id) != raw:
        raise Refusal("InvalidBlockId", [("MaxLimit", "%d bytes" % BLOCK_ID_BYTES_MAX)])
    return block_id


def prepare_put_block(x: Exchange) -> None:
    """Put Block, the head."""
    target = x.target
    text = target.parameter("blockid")
    if not text:
        fields = [("QueryParameterName", "blockid")]
        raise Refusal("MissingRequiredQueryParameter", fields)
    values.content_md5(x.headers, b"content-md5")
    values.content_crc64(x.headers)
    x.command = PutBlock(
        target.account, target.container, target.blob, block_id_of(text), x.length or 0
    )


def prepare_put_block_list(x: Exchange) -> None:
    """Put Block List, the head: refuse a wrong one before its body comes."""
    values.blob_properties(x.headers, x.shape.describing, body_type=False)
    x.metadata()
    values.conditions(x.headers)


def put_block_list(x: Exchange) -> None:
    """Put Block List. A long list is checked and parsed on a thread."""
    document = x.body.take_all()
    if len(document) > DOCUMENT_INLINE_BYTES_MAX:
        x.run(_put_long_list(x, document))
    else:
        _submit_list(x, _choices(document, x))


async def _put_long_list(x: Exchange, document: bytes) -> None:
    loop = asyncio.get_running_loop()
    choices = await loop.run_in_executor(x.front.hashing, _choices, document, x)
    _submit_list(x, choices)


def _choices(document: bytes, x: Exchange) -> tuple[BlockChoice, ...]:
    """The list in `document`, whose checksums are checked first."""
    md5 = values.content_md5(x.headers, b"content-md5")
    if md5 and md5 != hashlib.md5(document).digest():
        raise Refusal("Md5Mismatch")
    x.crc = crc64(document)
    expected = values.content_crc64(x.headers)
    if expected is not None and expected != x.crc:
        raise Refusal("Crc64Mismatch")
    lines = xml.block_list(document, _SOURCES)
    return tuple([BlockChoice(block_id_of(text), source) for text, source in lines])


def _submit_list(x: Exchange, choices: tuple[BlockChoice, ...]) -> None:
    target = x.target
    x.submit(
        PutBlockList(
            target.account,
            target.container,
            target.blob,
            choices,
            values.blob_properties(x.headers, x.shape.describing, body_type=False),
            x.metadata(),
            values.conditions(x.headers),
        ),
        _committed,
    )


def _committed(x: Exchange, outcome: Outcome) -> None:
    """The checksum in the answer is that of the list that was sent, as the service has it."""
    lines = replies.written(outcome)
    x.reply(201, "%sx-ms-content-crc64: %s\r\n" % (lines, values.crc64_text(x.crc)))


def get_block_list(x: Exchange) -> None:
    """Get Block List."""
    kind = x.target.parameter("blocklisttype").lower() or "committed"
    if kind not in _KINDS:
        raise bad_parameter("blocklisttype", kind, "Known here: %s." % ", ".join(_KINDS))
    x.when_readable(_get_block_list)


def _get_block_list(x: Exchange) -> None:
    target = x.target
    kind = target.parameter("blocklisttype").lower() or "committed"
    view = x.view()
    place = (target.account, target.container, target.blob)
    row = view.blob(*place)
    uncommitted = view.uncommitted_blocks(*place)
    if row is None and uncommitted is None:
        raise blob_not_found(x)
    lines = "Content-Type: application/xml\r\n"
    if row is not None:
        lines += replies.versioned(row.etag, row.last_modified_ms)
        lines += "x-ms-blob-content-length: %d\r\n" % row.size
    parts = ["<BlockList>"]
    if kind != "uncommitted":
        found = [] if row is None else [(block.id, block.size) for block in row.blocks]
        parts.append(_blocks("CommittedBlocks", found))
    if kind != "committed":
        parts.append(_blocks("UncommittedBlocks", [(b.id, b.size) for b in uncommitted or ()]))
    parts.append("</BlockList>")
    x.reply(200, lines, xml.encoded("".join(parts)))


def _blocks(name: str, blocks: list[tuple[bytes, int]]) -> str:
    inner = "".join(
        [
            "<Block><Name>%s</Name><Size>%d</Size></Block>" % (b64encode(block_id).decode(), size)
            for block_id, size in blocks
        ]
    )
    return "<%s>%s</%s>" % (name, inner, name)
