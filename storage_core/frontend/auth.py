"""SharedKey: who sends this request, proven by a signature over what was received.

The string to sign is built in one pass from the received bytes; nothing is decoded and encoded
again, so two readings of one request can't differ. The signature is compared as base64 text with
the one we make, in constant time: that accepts exactly one spelling. Whatever is wrong, the answer
is the same, before any name is looked up or any body byte is read.

The HMAC's two keyed SHA-256 states are made once per key and copied per request, which halves its
cost. A client may sort its x-ms- headers by bytes or by the service's own collation; the two differ
only for names with "_" or digits, and the order adds nothing that an attacker could use.
"""

from __future__ import annotations

import hashlib
import hmac
from binascii import b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from storage_core.frontend.headers import http_date_ms
from storage_core.frontend.refusals import Refusal

if TYPE_CHECKING:
    from hashlib import _Hash

    from storage_core.catalog.view import CatalogView

SKEW_MS = 15 * 60 * 1000
EMULATOR_ACCOUNT = "devstoreaccount1"

_BLOCK_BYTES = 64
_IPAD = bytes(byte ^ 0x36 for byte in range(256))
_OPAD = bytes(byte ^ 0x5C for byte in range(256))
_SCHEDULE_COUNT_MAX = 1024
_SCHEME = b"SharedKey "
_SIGNED = (
    b"content-encoding",
    b"content-language",
    b"content-length",
    b"content-md5",
    b"content-type",
    b"date",
    b"if-modified-since",
    b"if-match",
    b"if-none-match",
    b"if-unmodified-since",
    b"range",
)
# The service compares names letter by letter in this order and skips hyphens; hyphens break ties.
_COLLATION = {
    byte: rank for rank, byte in enumerate(b"!#$%&*.^_`|~+0123456789abcdefghijklmnopqrstuvwxyz")
}

Headers = Mapping[bytes, bytes]


class KeySchedule:
    """HMAC-SHA-256 under one key, with the keyed states made in advance."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK_BYTES:
            key = hashlib.sha256(key).digest()
        padded = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner: _Hash = hashlib.sha256(padded.translate(_IPAD))
        self._outer: _Hash = hashlib.sha256(padded.translate(_OPAD))

    def sign(self, message: bytes) -> bytes:
        """The signature as base64 text, as it stands in an Authorization header."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return b2a_base64(outer.digest(), newline=False)


def collated(names: Iterable[bytes]) -> list[bytes]:
    """Header names in the order of the service's own collation."""

    def key(name: bytes) -> tuple[list[int], list[bool]]:
        return (
            [_COLLATION[byte] for byte in name if byte in _COLLATION],
            [byte in b"-'" for byte in name],
        )

    return sorted(names, key=key)


def canonical_query(query: Sequence[tuple[str, str]]) -> bytes:
    """Parameters by name, several values of one name sorted and joined by commas."""
    values: dict[str, list[str]] = {}
    for name, value in query:
        values.setdefault(name, []).append(value)
    lines = ["\n%s:%s" % (name, ",".join(sorted(values[name]))) for name in sorted(values)]
    return "".join(lines).encode("utf-8", "surrogateescape")


def string_to_sign(
    method: bytes, headers: Headers, names: Sequence[bytes], resource: bytes
) -> bytes:
    """The Blob service's string for SharedKey; `names` are the x-ms- headers in signing order."""
    get = headers.get
    lines = [method]
    lines += [get(name, b"") for name in _SIGNED]
    if lines[3] == b"0":
        lines[3] = b""
    if b"x-ms-date" in headers:
        lines[6] = b""
    lines += [name + b":" + headers[name] for name in names]
    lines.append(resource)
    return b"\n".join(lines)


def is_loopback(peer: object) -> bool:
    """Whether a socket's peer is on this machine."""
    if not isinstance(peer, tuple) or not peer:
        return True  # A Unix socket: only this machine reaches it.
    host = str(peer[0]).removeprefix("::ffff:")
    return host == "::1" or host.startswith("127.")


class Authenticator:
    """Checks signatures against the keys of the catalog."""

    def __init__(self) -> None:
        self._schedules: dict[bytes, KeySchedule] = {}

    def check(
        self,
        view: CatalogView,
        *,
        method: bytes,
        headers: Headers,
        account: str,
        path: bytes,
        query: Sequence[tuple[str, str]],
        now_ms: int,
        loopback: bool,
    ) -> None:
        """Return if the request is signed by `account`; otherwise raise the one refusal."""
        given = headers.get(b"authorization", b"")
        name, colon, signature = given[len(_SCHEME) :].partition(b":")
        claimed = account.encode("utf-8", "surrogateescape")
        if not given.startswith(_SCHEME) or not colon or name != claimed:
            raise Refusal("AuthenticationFailed")
        if account == EMULATOR_ACCOUNT and not loopback:
            # Its key is public: it identifies nobody who isn't on this machine.
            raise Refusal("AuthenticationFailed")
        sent_ms = http_date_ms(headers.get(b"x-ms-date") or headers.get(b"date", b""))
        if sent_ms is None or not -SKEW_MS <= now_ms - sent_ms <= SKEW_MS:
            raise Refusal("AuthenticationFailed")
        row = view.account(account)
        if row is None:
            raise Refusal("AuthenticationFailed")
        resource = b"/" + name + path
        if query:
            resource += canonical_query(query)
        names = sorted([header for header in headers if header[:5] == b"x-ms-"])
        message = string_to_sign(method, headers, names, resource)
        if self._any_key_signs(row.keys, message, signature):
            return
        others = collated(names)
        if others != names and self._any_key_signs(
            row.keys, string_to_sign(method, headers, others, resource), signature
        ):
            return
        raise Refusal("AuthenticationFailed")

    def _any_key_signs(self, keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
        return any(
            hmac.compare_digest(self._schedule(key).sign(message), signature) for key in keys
        )

    def _schedule(self, key: bytes) -> KeySchedule:
        schedule = self._schedules.get(key)
        if schedule is None:
            if len(self._schedules) >= _SCHEDULE_COUNT_MAX:
                self._schedules.clear()
            schedule = self._schedules[key] = KeySchedule(key)
        return schedule
