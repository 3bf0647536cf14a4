"""Header lines that several answers share.

A line is built from values that were checked when they came in, so that nothing stored can end a
line or start another one.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final

from storage_core.config import GROUP_ID
from storage_core.frontend.headers import crc64_text, http_date

if TYPE_CHECKING:
    from storage_core.catalog.commands import Metadata, Outcome
    from storage_core.catalog.rows import BlobRow

_OPTIONAL: Final = (
    ("content_encoding", "Content-Encoding"),
    ("content_language", "Content-Language"),
    ("cache_control", "Cache-Control"),
    ("content_disposition", "Content-Disposition"),
)


def receipt(outcome: Outcome, crc_text: str = "") -> str:
    """What a client can later hold us to: the place of its write in the log, and its checksum."""
    place = "group=%d;term=%d;index=%d" % (GROUP_ID, outcome.term, outcome.index)
    if crc_text:
        place += ";crc64=" + crc_text
    return "x-ms-holdfast-receipt: %s\r\n" % place


def versioned(etag: str, last_modified_ms: int) -> str:
    return "ETag: %s\r\nLast-Modified: %s\r\n" % (etag, http_date(last_modified_ms // 1000))


def written(outcome: Outcome, crc: int | None = None) -> str:
    """The lines of every successful write that left something behind."""
    lines = versioned(outcome.etag, outcome.last_modified_ms)
    crc_text = "" if crc is None else crc64_text(crc)
    if crc_text:
        lines += "x-ms-content-crc64: %s\r\n" % crc_text
    return "%sx-ms-request-server-encrypted: false\r\n%s" % (lines, receipt(outcome, crc_text))


def metadata(pairs: Metadata) -> str:
    return "".join(["x-ms-meta-%s: %s\r\n" % pair for pair in pairs])


def md5_text(digest: bytes) -> str:
    return b64encode(digest).decode()


def blob(row: BlobRow) -> str:
    """What GET and HEAD of a blob both say."""
    properties = row.properties
    lines = (
        "Content-Type: %s\r\n%sAccept-Ranges: bytes\r\nx-ms-creation-time: %s\r\n"
        "x-ms-blob-type: BlockBlob\r\nx-ms-lease-status: unlocked\r\n"
        "x-ms-lease-state: available\r\nx-ms-server-encrypted: false\r\n"
        % (
            properties.content_type,
            versioned(row.etag, row.last_modified_ms),
            http_date(row.created_ms // 1000),
        )
    )
    for field, name in _OPTIONAL:
        value = getattr(properties, field)
        if value:
            lines += "%s: %s\r\n" % (name, value)
    if row.metadata:
        lines += metadata(row.metadata)
    return lines


def whole_blob(row: BlobRow) -> str:
    """The same for all of its bytes, which have checksums. Made once for a row that is kept."""
    if row.header_lines is None:
        lines = blob(row)
        if row.content_md5:
            lines += "Content-MD5: %s\r\n" % md5_text(row.content_md5)
        if row.crc64 is not None:
            lines += "x-ms-content-crc64: %s\r\n" % crc64_text(row.crc64)
        row.header_lines = lines
    return row.header_lines
