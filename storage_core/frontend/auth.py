"""SharedKey: who sends this request, proven by a signature over what was received.

The string to sign is built in one pass from the received bytes; nothing is decoded and encoded
again, so two readings of one request can't differ. The signature is compared as base64 text with
the one we make, in constant time: that accepts exactly one spelling. Whatever is wrong, the answer
is the same, before any name is looked up or any body byte is read.

The HMAC's two keyed blocks are made once per key and hashed with the message: cheaper than copying
keyed states, and a third of the library's own call. A client may sort its x-ms- headers by bytes or
by the service's own collation; the two differ only for names with "_" or digits, and the order adds
nothing that an attacker could use.
"""

from __future__ import annotations

import hmac
from binascii import b2a_base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from operator import itemgetter
from typing import TYPE_CHECKING

from storage_core.frontend.headers import http_date_ms
from storage_core.frontend.refusals import Refusal

if TYPE_CHECKING:
    from storage_core.frontend.exchange import Exchange

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
    """HMAC-SHA-256 under one key, with its two keyed blocks made in advance."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK_BYTES:
            key = sha256(key).digest()
        padded = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = padded.translate(_IPAD)
        self._outer = padded.translate(_OPAD)

    def sign(self, message: bytes) -> bytes:
        """The signature as base64 text, as it stands in an Authorization header."""
        inner = sha256(self._inner + message).digest()
        return b2a_base64(sha256(self._outer + inner).digest(), newline=False)


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


class Signing:
    """The string to sign of all requests with these header names: a form that values fill.

    `orders` are those of the x-ms- names: the clients' two, or one where they agree.
    """

    __slots__ = ("_form", "_has_length", "_values", "orders")

    def __init__(self, present: Collection[bytes]) -> None:
        by_bytes = sorted([name for name in present if name[:5] == b"x-ms-"])
        others = collated(by_bytes)
        self.orders = (by_bytes,) if others == by_bytes else (by_bytes, others)
        self._has_length = b"content-length" in present
        signed = [name for name in _SIGNED if name in present]
        if b"x-ms-date" in present and b"date" in present:
            signed.remove(b"date")
        filled = signed + by_bytes
        lines = [b"%b" if name in signed else b"" for name in _SIGNED]
        lines += [name.replace(b"%", b"%%") + b":%b" for name in by_bytes]
        self._form = b"\n".join(lines)
        # Of fewer than two names, a getter makes no tuple; nobody signs so little.
        self._values = itemgetter(*filled) if len(filled) > 1 else None

    def message(self, method: bytes, headers: Headers, resource: bytes) -> bytes:
        """As `string_to_sign` with the first of the orders."""
        if self._values is None or (self._has_length and headers[b"content-length"] == b"0"):
            return string_to_sign(method, headers, self.orders[0], resource)
        return b"%b\n%b\n%b" % (method, self._form % self._values(headers), resource)


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

    def check(self, x: Exchange) -> None:
        """Return if the request is signed by its target's account; otherwise raise the refusal."""
        headers, target = x.headers, x.target
        account = target.account
        given = headers.get(b"authorization", b"")
        name, colon, signature = given[len(_SCHEME) :].partition(b":")
        claimed = account.encode("utf-8", "surrogateescape")
        if not given.startswith(_SCHEME) or not colon or name != claimed:
            raise Refusal("AuthenticationFailed")
        if account == EMULATOR_ACCOUNT and not x.connection.loopback:
            # Its key is public: it identifies nobody who isn't on this machine.
            raise Refusal("AuthenticationFailed")
        sent_ms = http_date_ms(headers.get(b"x-ms-date") or headers.get(b"date", b""))
        if sent_ms is None or not -SKEW_MS <= x.front.wall_ms() - sent_ms <= SKEW_MS:
            raise Refusal("AuthenticationFailed")
        row = x.store.view().account(account)
        if row is None:
            raise Refusal("AuthenticationFailed")
        resource = b"/" + name + target.path
        if target.query:
            resource += canonical_query(target.query)
        signing = x.shape.signing
        if self._any_key_signs(row.keys, signing.message(x.method, headers, resource), signature):
            return
        for order in signing.orders[1:]:
            message = string_to_sign(x.method, headers, order, resource)
            if self._any_key_signs(row.keys, message, signature):
                return
        raise Refusal("AuthenticationFailed")

    def _any_key_signs(self, keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
        for key in keys:
            schedule = self._schedules.get(key) or self._schedule(key)
            if hmac.compare_digest(schedule.sign(message), signature):
                return True
        return False

    def _schedule(self, key: bytes) -> KeySchedule:
        if len(self._schedules) >= _SCHEDULE_COUNT_MAX:
            self._schedules.clear()
        schedule = self._schedules[key] = KeySchedule(key)
        return schedule
