"""Header values, read strictly: one spelling or a refusal that names the header.

Python's own conversions take Arabic digits, underscores and stray blanks, and what one reader of a
request takes differently from another is a way in. Here a number is ASCII digits, base64 must be
the one encoding of its bytes, a date is the one form that HTTP senders may use (RFC 9110 §5.6.7).
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from storage_core.catalog.commands import (
    METADATA_BYTES_MAX,
    UNCONDITIONAL,
    BlobProperties,
    Conditions,
    Metadata,
)
from storage_core.frontend.refusals import Refusal, bad_header

Headers = Mapping[bytes, bytes]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_MONTH_NUMBERS = {name.encode(): number for number, name in enumerate(_MONTHS, 1)}
_DATE = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) "
    rb"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
_DIGITS = re.compile(rb"[0-9]{1,19}")
_RANGE = re.compile(rb"bytes=([0-9]{0,19})-([0-9]{0,19})")
_METADATA_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_PRINTABLE = re.compile(rb"[\t\x20-\x7e]*")
_VERSION = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_METADATA_PREFIX = b"x-ms-meta-"


class ByteRange(NamedTuple):
    """Bytes `start` to `stop`, `stop` excluded."""

    start: int
    stop: int


@lru_cache(maxsize=512)
def http_date_ms(value: bytes) -> int | None:
    """Unix milliseconds of an HTTP date; None if it isn't one."""
    match = _DATE.fullmatch(value)
    if match is None:
        return None
    day, month, year, hour, minute, second = match.groups()
    try:
        moment = datetime(
            int(year), _MONTH_NUMBERS[month], int(day), int(hour), int(minute), int(second),
            tzinfo=UTC,
        )  # fmt: skip
    except (KeyError, ValueError):
        return None
    return int(moment.timestamp()) * 1000


@lru_cache(maxsize=4096)
def http_date(unix_s: int) -> str:
    """The HTTP date of a Unix second."""
    moment = datetime.fromtimestamp(unix_s, UTC)
    return "%s, %02d %s %04d %02d:%02d:%02d GMT" % (
        _DAYS[moment.weekday()], moment.day, _MONTHS[moment.month - 1], moment.year,
        moment.hour, moment.minute, moment.second,
    )  # fmt: skip


def text(value: bytes) -> str:
    """A header value for showing in an answer; header bytes have no other charset."""
    return value.decode("latin-1")


def number(value: bytes) -> int | None:
    return int(value) if _DIGITS.fullmatch(value) else None


@lru_cache(maxsize=64)
def is_version(value: bytes) -> bool:
    return _VERSION.fullmatch(value) is not None


def base64_bytes(value: bytes, size_bytes: int) -> bytes | None:
    """The `size_bytes` bytes that `value` is the one base64 text of; else None."""
    try:
        decoded = b64decode(value, validate=True)
    except (Base64Error, ValueError):
        return None
    return decoded if len(decoded) == size_bytes and b64encode(decoded) == value else None


def content_md5(headers: Headers, name: bytes) -> bytes:
    """The 16 bytes of an MD5 header, or b"" if it wasn't sent."""
    value = headers.get(name, b"")
    if not value:
        return b""
    decoded = base64_bytes(value, 16)
    if decoded is None:
        raise Refusal("InvalidMd5", [("HeaderName", text(name)), ("HeaderValue", text(value))])
    return decoded


def content_crc64(headers: Headers) -> int | None:
    """x-ms-content-crc64: eight little-endian bytes in base64."""
    value = headers.get(b"x-ms-content-crc64", b"")
    if not value:
        return None
    decoded = base64_bytes(value, 8)
    if decoded is None:
        raise Refusal("InvalidCrc64", [("HeaderValue", text(value))])
    return int.from_bytes(decoded, "little")


def crc64_text(crc: int) -> str:
    return b2a_base64(crc.to_bytes(8, "little"), newline=False).decode()


def byte_range(headers: Headers, size: int) -> ByteRange | None:
    """The range asked for within `size` bytes, or None if the whole is asked for.

    x-ms-range goes before Range. A suffix ("-5": the last five bytes) is taken as HTTP has it.
    """
    name = b"x-ms-range"
    value = headers.get(name)
    if value is None:
        name = b"range"
        value = headers.get(name)
    if value is None:
        return None
    match = _RANGE.fullmatch(value)
    first, last = match.groups() if match else (b"", b"")
    if not first and not last:
        raise bad_header(text(name), text(value), "One range as bytes=FIRST-LAST is served.")
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            raise bad_header(text(name), text(value), "The range ends before it starts.")
    if start >= size or start >= stop:
        raise Refusal("InvalidRange", headers=[("Content-Range", "bytes */%d" % size)])
    return ByteRange(start, stop)


def _etags(value: bytes) -> tuple[str, ...]:
    tags = [tag.strip() for tag in text(value).split(",")]
    return tuple(tag.removeprefix("W/").strip('"') for tag in tags if tag)


def _moment_ms(headers: Headers, name: bytes) -> int | None:
    value = headers.get(name)
    if value is None:
        return None
    moment_ms = http_date_ms(value)
    if moment_ms is None:
        raise bad_header(text(name), text(value), "An HTTP date is needed.")
    return moment_ms


_CONDITIONAL = frozenset(
    (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
)


def conditions(headers: Headers) -> Conditions:
    if _CONDITIONAL.isdisjoint(headers):
        return UNCONDITIONAL
    match = headers.get(b"if-match")
    none_match = headers.get(b"if-none-match")
    return Conditions(
        None if match is None else _etags(match),
        None if none_match is None else _etags(none_match),
        _moment_ms(headers, b"if-modified-since"),
        _moment_ms(headers, b"if-unmodified-since"),
    )


def metadata(raw: Sequence[tuple[bytes, bytes]]) -> Metadata:
    """x-ms-meta-* in the order and case received."""
    pairs = [pair for pair in raw if pair[0][:10].lower() == _METADATA_PREFIX]
    if not pairs:
        return ()
    found: list[tuple[str, str]] = []
    size = 0
    for name, value in pairs:
        key = name[len(_METADATA_PREFIX) :]
        if not key:
            raise Refusal("EmptyMetadataKey")
        if not _METADATA_NAME.fullmatch(key) or not _PRINTABLE.fullmatch(value):
            raise Refusal("InvalidMetadata", [("MetadataName", text(key))])
        size += len(key) + len(value)
        found.append((text(key), text(value)))
    if size > METADATA_BYTES_MAX:
        raise Refusal("MetadataTooLarge", [("Limit", "%d bytes" % METADATA_BYTES_MAX)])
    if len({key.lower() for key, _ in found}) != len(found):
        raise Refusal("InvalidMetadata", [("Reason", "One name is given twice.")])
    return tuple(found)


def blob_properties(
    headers: Headers, describing: Sequence[bytes], *, body_type: bool
) -> BlobProperties:
    """x-ms-blob-content-* and its kin. With `body_type` the body's own headers are the defaults.

    `describing` names those of the headers that describe the blob.
    """
    return _properties_of(tuple([(name, headers[name]) for name in describing]), body_type)


@lru_cache(maxsize=128)
def _properties_of(given: tuple[tuple[bytes, bytes], ...], body_type: bool) -> BlobProperties:
    """Kept, since a client describes one blob like the next."""
    headers = dict(given)

    def default(name: bytes, otherwise: bytes = b"") -> bytes:
        return headers.get(name, otherwise) if body_type else otherwise

    return BlobProperties(
        _printable(headers, b"x-ms-blob-content-type", default(b"content-type"))
        or "application/octet-stream",
        _printable(headers, b"x-ms-blob-content-encoding", default(b"content-encoding")),
        _printable(headers, b"x-ms-blob-content-language", default(b"content-language")),
        content_md5(headers, b"x-ms-blob-content-md5"),
        _printable(headers, b"x-ms-blob-cache-control", default(b"cache-control")),
        _printable(headers, b"x-ms-blob-content-disposition"),
    )


def _printable(headers: Headers, name: bytes, default: bytes = b"") -> str:
    value = headers.get(name, default)
    if not _PRINTABLE.fullmatch(value):
        raise bad_header(text(name), "", "Only printable ASCII is kept.")
    return text(value)
