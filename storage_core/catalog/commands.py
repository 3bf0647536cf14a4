"""What the catalog can be asked to do, and what it answers.

A command is the `meta` of a log entry. It carries everything its effect depends on, conditions
included, because the decision is made when the entry is applied, at one place in the one order,
and must come out equal on every replica. Limits stand here with their reasons; the front end
refuses what exceeds them with a clear message, `codec` refuses what can't be a command at all.

Read next: `codec` for the bytes, `machine` for the effects.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Tuple, Union

from storage_core.log.format import Extent

KIB = 1024
MIB = 1024 * KIB

# Azure's own limits.
ACCOUNT_NAME_CHARS_MIN = 3
ACCOUNT_NAME_CHARS_MAX = 24
CONTAINER_NAME_CHARS_MIN = 3
CONTAINER_NAME_CHARS_MAX = 63
BLOB_NAME_CHARS_MAX = 1024
METADATA_BYTES_MAX = 8 * KIB
BLOCK_ID_BYTES_MAX = 64
BLOCK_COUNT_MAX = 50_000
UNCOMMITTED_COUNT_MAX = 100_000
METADATA_COUNT_MAX = METADATA_BYTES_MAX // 2
PUT_BLOB_BYTES_MAX = 5000 * MIB
BLOCK_BYTES_MAX = 4000 * MIB
ACCESS_POLICY_COUNT_MAX = 5
UNCOMMITTED_EXPIRY_MS = 7 * 24 * 3600 * 1000

# Our own. A chunk is large enough to stream at disk speed, small enough to let small writes pass.
CHUNK_BYTES = 256 * KIB
INLINE_BODY_BYTES_MAX = CHUNK_BYTES
UPLOAD_ID_BYTES = 16
OP_ID_BYTES = 16
UPLOAD_EXPIRY_MS = 3600 * 1000
# An entry may not hold up the loop: what touches more rows than this is reaped by later entries.
ENTRY_ROWS_MAX = 1000
# A repeated operation is recognised for this many entries.
REMEMBERED_COUNT = 65_536

BLOCK_BLOB = "BlockBlob"

COMMITTED = 0
UNCOMMITTED = 1
LATEST = 2

Metadata = Tuple[Tuple[str, str], ...]


class Conditions(NamedTuple):
    """If-Match and friends. None: not asked. An ETag is compared without its quotes, "*" is any.

    Dates are Unix milliseconds and are compared at one second, the resolution of HTTP.
    """

    if_match: Optional[Tuple[str, ...]] = None
    if_none_match: Optional[Tuple[str, ...]] = None
    if_modified_since_ms: Optional[int] = None
    if_unmodified_since_ms: Optional[int] = None


UNCONDITIONAL = Conditions()


class BlobProperties(NamedTuple):
    """What a client says of the content. Empty means: not said."""

    content_type: str = "application/octet-stream"
    content_encoding: str = ""
    content_language: str = ""
    content_md5: bytes = b""
    cache_control: str = ""
    content_disposition: str = ""


class AccessPolicy(NamedTuple):
    """A stored access policy of a container, times as the client wrote them."""

    identifier: str
    start: str
    expiry: str
    permission: str


class BlockChoice(NamedTuple):
    """One line of a block list. `source` is COMMITTED, UNCOMMITTED or LATEST."""

    block_id: bytes
    source: int


class CreateAccount(NamedTuple):
    """`keys` are the decoded shared keys, one or two."""

    account: str
    keys: Tuple[bytes, ...]


class SetAccountLimit(NamedTuple):
    """Each node takes at most this many requests of the account in 1,000 s. 0 lifts the limit."""

    account: str
    requests_per_ks: int


class CreateContainer(NamedTuple):
    """`public_access` is "", "blob" or "container"."""

    account: str
    container: str
    metadata: Metadata = ()
    public_access: str = ""


class DeleteContainer(NamedTuple):
    account: str
    container: str
    conditions: Conditions = UNCONDITIONAL


class SetContainerMetadata(NamedTuple):
    account: str
    container: str
    metadata: Metadata
    conditions: Conditions = UNCONDITIONAL


class SetContainerAccess(NamedTuple):
    account: str
    container: str
    public_access: str
    policies: Tuple[AccessPolicy, ...] = ()
    conditions: Conditions = UNCONDITIONAL


class PutBlob(NamedTuple):
    """A whole block blob: the entry's body, or the chunks of `upload_id`.

    `upload_id` b"" means that the body rides in the entry; then `chunk_count` is 0. `size_bytes`
    is checked against what arrived. `crc64` is of the whole content where the client gave it; an
    inline body has its own.
    """

    account: str
    container: str
    blob: str
    size_bytes: int
    properties: BlobProperties = BlobProperties()
    metadata: Metadata = ()
    conditions: Conditions = UNCONDITIONAL
    upload_id: bytes = b""
    chunk_count: int = 0
    crc64: Optional[int] = None


class PutBlock(NamedTuple):
    """One uncommitted block. `block_id` is the id decoded from base64."""

    account: str
    container: str
    blob: str
    block_id: bytes
    size_bytes: int
    upload_id: bytes = b""
    chunk_count: int = 0


class PutBlockList(NamedTuple):
    account: str
    container: str
    blob: str
    blocks: Tuple[BlockChoice, ...]
    properties: BlobProperties = BlobProperties()
    metadata: Metadata = ()
    conditions: Conditions = UNCONDITIONAL


class DeleteBlob(NamedTuple):
    account: str
    container: str
    blob: str
    conditions: Conditions = UNCONDITIONAL


class SetBlobMetadata(NamedTuple):
    account: str
    container: str
    blob: str
    metadata: Metadata
    conditions: Conditions = UNCONDITIONAL


class SetBlobProperties(NamedTuple):
    """Replaces all properties, as Set Blob Properties does."""

    account: str
    container: str
    blob: str
    properties: BlobProperties
    conditions: Conditions = UNCONDITIONAL


class Chunk(NamedTuple):
    """Part of a large body; the entry's body is its bytes. `block_id` b"" means a Put Blob.

    `sequence` counts from 0 without gaps. A repeated sequence has no second effect.
    """

    upload_id: bytes
    sequence: int
    account: str
    container: str
    blob: str
    block_id: bytes = b""


class AbortUpload(NamedTuple):
    """Forget the chunks of an unfinished upload. Nothing to forget is no error."""

    upload_id: bytes


class Move(NamedTuple):
    """The entry's body is a copy of the body at `old`; rows that name `old` shall name the copy.

    `upload_id` and `block_id` say where else than in the blob the body may be referenced.
    """

    account: str
    container: str
    blob: str
    block_id: bytes
    upload_id: bytes
    old: Extent


class ExpireUploads(NamedTuple):
    """Drop unfinished uploads and uncommitted blocks not touched since these times."""

    uploads_before_ms: int
    blocks_before_ms: int


class Reap(NamedTuple):
    """Remove up to `rows_max` rows of what was deleted but was too large to go at once."""

    rows_max: int = ENTRY_ROWS_MAX


Command = Union[
    CreateAccount,
    SetAccountLimit,
    CreateContainer,
    DeleteContainer,
    SetContainerMetadata,
    SetContainerAccess,
    PutBlob,
    PutBlock,
    PutBlockList,
    DeleteBlob,
    SetBlobMetadata,
    SetBlobProperties,
    Chunk,
    AbortUpload,
    Move,
    ExpireUploads,
    Reap,
]


class Outcome(NamedTuple):
    """The answer to a command. `code` is "" where it was done, else a key of `STATUS`.

    `etag` is quoted and "" where there is none to tell. A repeat of the operation gets exactly
    this again, `index` and `term` of the first time included.
    """

    code: str
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    term: int
    etag: str
    last_modified_ms: int
    detail: bytes


# Every code an outcome may carry, and the HTTP status it means.
STATUS: Dict[str, int] = {
    "AccountAlreadyExists": 409,
    "ResourceNotFound": 404,  # the account does not exist
    "ContainerAlreadyExists": 409,
    "ContainerNotFound": 404,
    "BlobAlreadyExists": 409,
    "BlobNotFound": 404,
    "ConditionNotMet": 412,
    "InvalidBlobOrBlock": 400,
    "InvalidBlockList": 400,
    "BlockListTooLong": 400,
    "BlockCountExceedsLimit": 409,
}


def etag_of(index: int) -> str:
    """The ETag of what the entry at `index` wrote, quoted."""
    return '"0x8D%014X"' % index
