"""Operations on a container: create, delete, describe, and list what is in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from storage_core.catalog.commands import (
    CreateContainer,
    DeleteContainer,
    Outcome,
    SetContainerMetadata,
)
from storage_core.frontend import headers as values
from storage_core.frontend import listing, replies, xml
from storage_core.frontend.headers import http_date
from storage_core.frontend.limits import LIST_SLICE_COUNT_MAX
from storage_core.frontend.refusals import Refusal

if TYPE_CHECKING:
    from storage_core.catalog.rows import BlobRow, ContainerRow
    from storage_core.frontend.exchange import Exchange

_XML: Final = "Content-Type: application/xml\r\n"
# Of these all but metadata are truthfully empty here; uncommitted blobs are not, and not listed.
_INCLUDES: Final = (
    "metadata", "copy", "deleted", "deletedwithversions", "immutabilitypolicy", "legalhold",
    "permissions", "snapshots", "tags", "versions",
)  # fmt: skip


def create_container(x: Exchange) -> None:
    """Create Container. Nothing here is readable without a signature."""
    if x.headers.get(b"x-ms-blob-public-access"):
        raise Refusal("PublicAccessNotPermitted")
    target = x.target
    command = CreateContainer(target.account, target.container, x.metadata())
    x.submit(command, _created)


def _created(x: Exchange, outcome: Outcome) -> None:
    lines = replies.versioned(outcome.etag, outcome.last_modified_ms)
    x.reply(201, lines + replies.receipt(outcome))


def delete_container(x: Exchange) -> None:
    """Delete Container, with all that is in it."""
    target = x.target
    conditions = values.conditions(x.headers)
    x.submit(DeleteContainer(target.account, target.container, conditions), _deleted)


def _deleted(x: Exchange, outcome: Outcome) -> None:
    x.reply(202, replies.receipt(outcome))


def set_container_metadata(x: Exchange) -> None:
    """Set Container Metadata: replaces all of it."""
    target = x.target
    command = SetContainerMetadata(
        target.account, target.container, x.metadata(), values.conditions(x.headers)
    )
    x.submit(command, _changed)


def _changed(x: Exchange, outcome: Outcome) -> None:
    lines = replies.versioned(outcome.etag, outcome.last_modified_ms)
    x.reply(200, lines + replies.receipt(outcome))


def get_container(x: Exchange) -> None:
    """Get Container Properties, Get Container Metadata."""
    x.when_readable(_get_container)


def _row(x: Exchange) -> ContainerRow:
    row = x.view().container(x.target.account, x.target.container)
    if row is None:
        raise Refusal("ContainerNotFound")
    return row


def _get_container(x: Exchange) -> None:
    row = _row(x)
    lines = replies.versioned(row.etag, row.last_modified_ms) + replies.metadata(row.metadata)
    if not x.target.parameter("comp"):
        lines += (
            "x-ms-lease-status: unlocked\r\nx-ms-lease-state: available\r\n"
            "x-ms-has-immutability-policy: false\r\nx-ms-has-legal-hold: false\r\n"
        )
    x.reply(200, lines)


def get_container_acl(x: Exchange) -> None:
    """Get Container ACL: no public access; stored policies can't be set in this release."""
    x.when_readable(_get_container_acl)


def _get_container_acl(x: Exchange) -> None:
    row = _row(x)
    lines = _XML + replies.versioned(row.etag, row.last_modified_ms)
    x.reply(200, lines, xml.encoded("<SignedIdentifiers></SignedIdentifiers>"))


def list_blobs(x: Exchange) -> None:
    """List Blobs, flat or by hierarchy."""
    listing.check_include(x.target, _INCLUDES)
    x.when_readable(_list_blobs)


def _list_blobs(x: Exchange) -> None:
    _row(x)
    page = listing.asked_page(x.target, x.front.limits.page_count_max)
    parts, marker = _listed(x, page)
    if marker and len(parts) < page.size:
        x.run(_list_on(x, page, parts, marker))
    else:
        _reply_list(x, parts, marker)


async def _list_on(x: Exchange, page: listing.Page, parts: list[str], marker: str) -> None:
    """The rest of a long page, a slice at a time, so that others get their turn in between."""
    while marker and len(parts) < page.size:
        await asyncio.sleep(0)
        rest = page._replace(marker=marker, size=page.size - len(parts))
        more, marker = _listed(x, rest)
        parts += more
    _reply_list(x, parts, marker)


def _listed(x: Exchange, page: listing.Page) -> tuple[list[str], str]:
    """At most one slice of `page`, and the name at which the next one starts."""
    target = x.target
    size = min(page.size, LIST_SLICE_COUNT_MAX)
    found = x.view().list_blobs(
        target.account, target.container, page.prefix, page.delimiter, page.marker, size
    )
    with_metadata = "metadata" in listing.included(target)
    # Blobs and prefixes of a page stand in one order, as the service has it.
    parts = [(item.name, _blob(item.name, item.row, with_metadata)) for item in found.items]
    parts += [
        (name, "<BlobPrefix>%s</BlobPrefix>" % xml.element("Name", name)) for name in found.prefixes
    ]
    parts.sort(key=lambda part: part[0].encode("utf-8"))
    return [part for _, part in parts], found.next_marker


def _reply_list(x: Exchange, parts: list[str], marker: str) -> None:
    x.reply(
        200,
        _XML,
        xml.encoded(
            '<EnumerationResults ServiceEndpoint="%s" ContainerName="%s">%s<Blobs>%s</Blobs>'
            "%s</EnumerationResults>"
            % (
                xml.attribute("/%s/" % x.target.account),
                xml.attribute(x.target.container),
                listing.echoed(x.target),
                "".join(parts),
                listing.next_marker(marker),
            )
        ),
    )


def _blob(name: str, row: BlobRow, with_metadata: bool) -> str:
    properties = row.properties
    return (
        "<Blob>%s<Properties><Creation-Time>%s</Creation-Time><Last-Modified>%s</Last-Modified>"
        "<Etag>%s</Etag><Content-Length>%d</Content-Length>%s%s%s<Content-CRC64 />"
        "<Content-MD5>%s</Content-MD5>%s%s<BlobType>BlockBlob</BlobType>"
        "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
        "<ServerEncrypted>false</ServerEncrypted></Properties>%s</Blob>"
        % (
            xml.element("Name", name),
            http_date(row.created_ms // 1000),
            http_date(row.last_modified_ms // 1000),
            row.etag.strip('"'),
            row.size,
            xml.element("Content-Type", properties.content_type),
            xml.element("Content-Encoding", properties.content_encoding),
            xml.element("Content-Language", properties.content_language),
            replies.md5_text(properties.content_md5),
            xml.element("Cache-Control", properties.cache_control),
            xml.element("Content-Disposition", properties.content_disposition),
            xml.metadata(row.metadata) if with_metadata else "",
        )
    )
