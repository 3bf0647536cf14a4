"""Writes to a blob as a whole: Put Blob, Delete Blob, its metadata and its properties.

Nothing is decided here. A command carries the conditions of its request and is decided when it is
applied, at one place in the one order; what is checked here is only whether the request is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_core.catalog.commands import (
    UNCONDITIONAL,
    DeleteBlob,
    Outcome,
    PutBlob,
    SetBlobMetadata,
    SetBlobProperties,
)
from storage_core.frontend import headers as values
from storage_core.frontend import replies
from storage_core.frontend.refusals import Refusal, bad_header, unsupported_header

if TYPE_CHECKING:
    from storage_core.frontend.exchange import Exchange


def prepare_put_blob(x: Exchange) -> None:
    """Put Blob, the head: only block blobs are kept."""
    headers, target = x.headers, x.target
    kind = headers.get(b"x-ms-blob-type")
    if kind is None:
        raise Refusal("MissingRequiredHeader", [("HeaderName", "x-ms-blob-type")])
    if kind != b"BlockBlob":
        reason = "This release keeps block blobs only."
        raise bad_header("x-ms-blob-type", values.text(kind), reason)
    properties = values.blob_properties(headers, x.shape.describing, body_type=True)
    if x.shape.tells_checksum:
        md5 = values.content_md5(headers, b"content-md5")
        if md5 and not properties.content_md5:
            properties = properties._replace(content_md5=md5)
        values.content_crc64(headers)
    x.command = PutBlob(
        target.account,
        target.container,
        target.blob,
        x.length or 0,
        properties,
        x.metadata(),
        values.conditions(headers) if x.shape.is_conditional else UNCONDITIONAL,
    )


def delete_blob(x: Exchange) -> None:
    """Delete Blob. There are no snapshots, so deleting "only" them must not delete the blob."""
    which = x.headers.get(b"x-ms-delete-snapshots")
    if which is not None and which != b"include":
        reason = "Blobs have no snapshots in this release."
        raise unsupported_header("x-ms-delete-snapshots", values.text(which), reason)
    target = x.target
    conditions = values.conditions(x.headers)
    x.submit(DeleteBlob(target.account, target.container, target.blob, conditions), _deleted)


def _deleted(x: Exchange, outcome: Outcome) -> None:
    x.reply(202, "x-ms-delete-type-permanent: true\r\n" + replies.receipt(outcome))


def set_blob_metadata(x: Exchange) -> None:
    """Set Blob Metadata: replaces all of it."""
    target = x.target
    x.submit(
        SetBlobMetadata(
            target.account,
            target.container,
            target.blob,
            x.metadata(),
            values.conditions(x.headers),
        ),
        _changed,
    )


def set_blob_properties(x: Exchange) -> None:
    """Set Blob Properties: replaces all of them; one that isn't sent is cleared."""
    if b"x-ms-blob-content-length" in x.headers or b"x-ms-sequence-number-action" in x.headers:
        raise unsupported_header("x-ms-blob-content-length", "", "Only page blobs have it.")
    target = x.target
    x.submit(
        SetBlobProperties(
            target.account,
            target.container,
            target.blob,
            values.blob_properties(x.headers, x.shape.describing, body_type=False),
            values.conditions(x.headers),
        ),
        _changed,
    )


def _changed(x: Exchange, outcome: Outcome) -> None:
    x.reply(200, replies.written(outcome))
