"""Where each row lies: one ordered key space, told apart by the first byte.

Problem: listing must walk names in UTF-8 order, a container re-created must not show what it held
before, and a name may hold any byte. Idea: a container's rows name its *generation*, the index of
the entry that created it, eight bytes big-endian; the blob's name comes last in its key, so it
needs no escape and bytewise order of keys is UTF-8 order of names.

Only container keys join two names: account and container, by a NUL that `codec` admits in neither.
`docs/formats/catalog.md` is the table.
"""

from __future__ import annotations

import struct
from functools import lru_cache

_U64 = struct.Struct(">Q")
_U64_PAIR = struct.Struct(">QQ")
_U32 = struct.Struct(">I")
_U16 = struct.Struct(">H")

# Containers in use at one time have their keys at hand.
_KNOWN_MAX = 1024

ACCOUNT = b"A"
BLOB = b"B"
CONTAINER = b"C"
GARBAGE = b"G"
ACCOUNT_LIMIT = b"H"
BLOCK_LIST = b"L"
UPLOAD = b"P"
UPLOAD_PAGE = b"Q"
OPERATION = b"R"
STAGE = b"S"
TIMER = b"T"
STAGED_BLOCK = b"U"
LIVE = b"V"
EXTENT_PAGE = b"X"
APPLIED = b"Z"

# Second byte of timers and of garbage.
UPLOAD_TIMER = b"u"
STAGE_TIMER = b"s"
CONTAINER_GARBAGE = b"c"
LAYOUT_GARBAGE = b"l"
STAGE_GARBAGE = b"s"


def account(name: str) -> bytes:
    return ACCOUNT + name.encode("utf-8")


def account_limit(name: str) -> bytes:
    return ACCOUNT_LIMIT + name.encode("utf-8")


def account_of(key: bytes) -> str:
    """The name in the key of an account or of its limit."""
    return key[1:].decode("utf-8")


@lru_cache(maxsize=_KNOWN_MAX)
def container(account_name: str, name: str) -> bytes:
    return joined_container(account_name.encode("utf-8"), name.encode("utf-8"))


def joined_container(account_name: bytes, name: bytes) -> bytes:
    return b"C%b\x00%b" % (account_name, name)


def container_name_of(key: bytes) -> str:
    return key[key.index(b"\x00") + 1 :].decode("utf-8")


def blob(generation: int, name: bytes) -> bytes:
    return blobs_of(generation) + name


@lru_cache(maxsize=_KNOWN_MAX)
def blobs_of(generation: int) -> bytes:
    """The prefix of all blobs of one container."""
    return BLOB + _U64.pack(generation)


def stage(generation: int, name: bytes) -> bytes:
    return STAGE + _U64.pack(generation) + name


def stages_of(generation: int) -> bytes:
    return STAGE + _U64.pack(generation)


def staged_block(stage_id: int, block_id: bytes) -> bytes:
    return STAGED_BLOCK + _U64.pack(stage_id) + block_id


def staged_blocks_of(stage_id: int) -> bytes:
    return STAGED_BLOCK + _U64.pack(stage_id)


def block_list(layout_id: int) -> bytes:
    return BLOCK_LIST + _U64.pack(layout_id)


def extent_page(layout_id: int, page: int) -> bytes:
    return EXTENT_PAGE + _U64.pack(layout_id) + _U32.pack(page)


def upload(upload_id: bytes) -> bytes:
    return UPLOAD + upload_id


def upload_page(upload_id: bytes, page: int) -> bytes:
    return UPLOAD_PAGE + upload_id + _U32.pack(page)


def timer(kind: bytes, time_ms: int, index: int) -> bytes:
    """Ordered by time; `index` only makes it unique."""
    return TIMER + kind + _U64_PAIR.pack(time_ms, index)


def timers_before(kind: bytes, time_ms: int) -> bytes:
    """Just after every timer of `kind` earlier than `time_ms`."""
    return TIMER + kind + _U64.pack(time_ms)


def garbage(kind: bytes, number: int) -> bytes:
    return GARBAGE + kind + _U64.pack(number)


def number_of(key: bytes) -> int:
    """The number a garbage or live key ends with."""
    return int(_U64.unpack(key[-8:])[0])


def operation(slot: int) -> bytes:
    return OPERATION + _U16.pack(slot)


def slot_of(key: bytes) -> int:
    return int(_U16.unpack(key[1:])[0])


def live(segment_seq: int) -> bytes:
    return LIVE + _U64.pack(segment_seq)


def successor(prefix: bytes) -> bytes:
    """The least key after all that start with `prefix`."""
    stripped = prefix.rstrip(b"\xff")
    assert stripped, "every key starts with a letter"
    return stripped[:-1] + bytes((stripped[-1] + 1,))
