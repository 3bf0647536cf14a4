"""What the names of a request's headers say, worked out once for each list of names.

Problem: most questions about a head are whether a header is there: a condition, a range, a tag
that we can't obey, a name to be signed. Asked one by one they cost more than the answer from
memory. Idea: a client sends the same names in the same order again and again, so the list of names
is looked up, and with it come the answers to all of these questions.

What always holds: a shape depends on names alone. Values are read per request, every time.

Read next: `exchange`, which asks; `auth` for the string to sign.
"""

from __future__ import annotations

from typing import Final

from storage_core.frontend.auth import Signing

# What is kept: many times the kinds of clients that a node has, and no more than 2 MiB.
_KNOWN_MAX: Final = 512
_KNOWN_BYTES_MAX: Final = 1024

_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding", b"upgrade"))
_CONDITIONAL: Final = frozenset(
    (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
)
_RANGING: Final = frozenset((b"range", b"x-ms-range"))
# Obeying these is not part of this release, and ignoring them would store something else.
_UNOBEYED_ON_WRITES: Final = frozenset(
    (
        b"x-ms-copy-source",
        b"x-ms-encryption-algorithm",
        b"x-ms-encryption-key",
        b"x-ms-encryption-key-sha256",
        b"x-ms-encryption-scope",
        b"x-ms-immutability-policy-mode",
        b"x-ms-immutability-policy-until-date",
        b"x-ms-legal-hold",
        b"x-ms-structured-body",
        b"x-ms-tags",
    )
)
_UNOBEYED: Final = (b"x-ms-if-tags", b"x-ms-lease-id")
_DESCRIBING: Final = frozenset(
    (
        b"cache-control",
        b"content-encoding",
        b"content-language",
        b"content-type",
        b"x-ms-blob-cache-control",
        b"x-ms-blob-content-disposition",
        b"x-ms-blob-content-encoding",
        b"x-ms-blob-content-language",
        b"x-ms-blob-content-md5",
        b"x-ms-blob-content-type",
    )
)


class Shape:
    """`names` in lower case and in the order received; with a repeated one, two are equal."""

    __slots__ = (
        "describing", "expects", "has_client_id", "has_metadata", "has_range", "has_traceparent",
        "is_conditional", "is_framed", "is_repeated", "names", "signing", "tells_checksum",
        "unobeyed", "unobeyed_on_writes",
    )  # fmt: skip

    def __init__(self, received: tuple[bytes, ...]) -> None:
        self.names = tuple([name.lower() for name in received])
        present = frozenset(self.names)
        self.is_repeated = len(present) != len(self.names)
        self.signing = Signing(present)
        self.is_framed = not _FRAMING.isdisjoint(present)
        self.is_conditional = not _CONDITIONAL.isdisjoint(present)
        self.has_range = not _RANGING.isdisjoint(present)
        self.expects = b"expect" in present
        self.has_client_id = b"x-ms-client-request-id" in present
        self.has_traceparent = b"traceparent" in present
        self.has_metadata = any(name.startswith(b"x-ms-meta-") for name in present)
        self.tells_checksum = b"content-md5" in present or b"x-ms-content-crc64" in present
        self.describing = tuple([name for name in self.names if name in _DESCRIBING])
        self.unobeyed = tuple([name for name in _UNOBEYED if name in present])
        self.unobeyed_on_writes = tuple(sorted(_UNOBEYED_ON_WRITES & present))


_known: dict[tuple[bytes, ...], Shape] = {}


def shape_of(received: tuple[bytes, ...]) -> Shape:
    """The shape of a head with these names, as received. One thread asks: the loop's."""
    shape = _known.get(received)
    if shape is None:
        shape = Shape(received)
        if sum(map(len, received)) <= _KNOWN_BYTES_MAX:
            if len(_known) >= _KNOWN_MAX:
                _known.clear()
            _known[received] = shape
    return shape
