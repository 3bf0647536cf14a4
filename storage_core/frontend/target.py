"""The request target, taken apart once: account, container, blob, parameters.

Path style: /account/container/blob. The path is percent-decoded exactly once and never normalised:
a blob's name is a key, not a file, so "..", "//" and a trailing "." are ordinary characters. What
can't stand in an XML listing (control characters) is refused here, and so never gets stored.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from storage_core.catalog.commands import BLOB_NAME_CHARS_MAX
from storage_core.frontend.refusals import Refusal, bad_parameter

_ABSOLUTE = re.compile(rb"https?://[^/?]*", re.IGNORECASE)
_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")
_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Target(NamedTuple):
    """`container` and `blob` are "" where the target is above them. `path` is as received."""

    path: bytes
    account: str
    container: str
    blob: str
    query: tuple[tuple[str, str], ...]

    def parameter(self, name: str) -> str:
        """The parameter's value; "" if it's absent or empty. Twice is refused."""
        values = [value for key, value in self.query if key == name]
        if len(values) > 1:
            raise bad_parameter(name, values[1], "It is given twice.")
        return values[0] if values else ""


def _decoded(raw: bytes) -> str:
    if b"%" in raw:
        if _ESCAPE.search(raw):
            raise Refusal("InvalidUri")
        raw = unquote_to_bytes(raw)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("InvalidUri") from None


def _parsed_query(raw: bytes) -> tuple[tuple[str, str], ...]:
    pairs = []
    for part in raw.split(b"&"):
        name, _, value = part.partition(b"=")
        if name:
            pairs.append((_decoded(name).lower(), _decoded(value)))
    return tuple(pairs)


def parse(url: bytes) -> Target:
    """Names are decoded and not yet checked: a bad name is told only to who is authenticated."""
    if url[:1] == b"/" and b"?" not in url and b"%" not in url and url.count(b"/") >= 3:
        # Most targets: nothing to decode but UTF-8.
        try:
            _, account, container, blob = url.decode("utf-8").split("/", 3)
        except UnicodeDecodeError:
            raise Refusal("InvalidUri") from None
        return Target(url, account, container, blob, ())
    if not url.startswith(b"/"):
        scheme = _ABSOLUTE.match(url)
        if scheme is None:
            raise Refusal("InvalidUri", close=True)
        url = url[scheme.end() :]
        if not url.startswith(b"/"):
            url = b"/" + url
    path, _, raw_query = url.partition(b"?")
    parts = path.split(b"/", 3)
    parts += [b""] * (4 - len(parts))
    return Target(
        path,
        _decoded(parts[1]),
        _decoded(parts[2]),
        _decoded(parts[3]),
        _parsed_query(raw_query) if raw_query else (),
    )


def check_names(target: Target) -> None:
    """Refuse names that Azure refuses, and those we couldn't list."""
    container, blob = target.container, target.blob
    if container:
        if not 3 <= len(container) <= 63:
            raise Refusal("OutOfRangeInput", [("ContainerName", container[:64])])
        if not _is_container(container):
            raise Refusal("InvalidResourceName", [("ContainerName", container)])
    elif blob:
        raise Refusal("InvalidUri")
    if blob and (len(blob) > BLOB_NAME_CHARS_MAX or _UNPRINTABLE.search(blob)):
        raise Refusal("InvalidResourceName", [("BlobNameLimit", "%d" % BLOB_NAME_CHARS_MAX)])


@lru_cache(maxsize=1024)
def _is_container(name: str) -> bool:
    return _CONTAINER.fullmatch(name) is not None
