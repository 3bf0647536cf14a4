"""Operations on an account: its containers, and the little there is to say about the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from storage_core.frontend import listing, xml
from storage_core.frontend.headers import http_date

if TYPE_CHECKING:
    from storage_core.catalog.rows import ContainerRow
    from storage_core.frontend.exchange import Exchange

_XML: Final = "Content-Type: application/xml\r\n"
_OFF: Final = "<RetentionPolicy><Enabled>false</Enabled></RetentionPolicy>"
_METRICS: Final = "<Version>1.0</Version><Enabled>false</Enabled>" + _OFF
_PROPERTIES: Final = xml.encoded(
    "<StorageServiceProperties>"
    "<Logging><Version>1.0</Version><Delete>false</Delete><Read>false</Read><Write>false</Write>"
    + _OFF
    + "</Logging><HourMetrics>"
    + _METRICS
    + "</HourMetrics><MinuteMetrics>"
    + _METRICS
    + "</MinuteMetrics><Cors />"
    "<DeleteRetentionPolicy><Enabled>false</Enabled></DeleteRetentionPolicy>"
    "<StaticWebsite><Enabled>false</Enabled></StaticWebsite>"
    "</StorageServiceProperties>"
)


def get_account_information(x: Exchange) -> None:
    """Get Account Information: a general account, replicated within one place."""
    lines = "x-ms-sku-name: Standard_LRS\r\nx-ms-account-kind: StorageV2\r\n"
    x.reply(200, lines + "x-ms-is-hns-enabled: false\r\n")


def get_service_properties(x: Exchange) -> None:
    """Get Blob Service Properties: everything that can be switched on is off."""
    x.reply(200, _XML, _PROPERTIES)


def list_containers(x: Exchange) -> None:
    """List Containers."""
    listing.check_include(x.target, ("metadata", "deleted", "system"))
    x.when_readable(_list_containers)


def _list_containers(x: Exchange) -> None:
    page = listing.asked_page(x.target, x.front.limits.page_count_max)
    found = x.view().containers(x.target.account, page.prefix, page.marker, page.size)
    with_metadata = "metadata" in listing.included(x.target)
    x.reply(
        200,
        _XML,
        xml.encoded(
            '<EnumerationResults ServiceEndpoint="%s">%s<Containers>%s</Containers>'
            "%s</EnumerationResults>"
            % (
                xml.attribute("/%s/" % x.target.account),
                listing.echoed(x.target),
                "".join([_container(row, with_metadata=with_metadata) for row in found.items]),
                listing.next_marker(found.next_marker),
            )
        ),
    )


def _container(row: ContainerRow, *, with_metadata: bool) -> str:
    return (
        "<Container>%s<Properties>%s%s"
        "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
        "<HasImmutabilityPolicy>false</HasImmutabilityPolicy><HasLegalHold>false</HasLegalHold>"
        "</Properties>%s</Container>"
        % (
            xml.element("Name", row.name),
            xml.element("Last-Modified", http_date(row.last_modified_ms // 1000)),
            xml.element("Etag", row.etag.strip('"')),
            xml.metadata(row.metadata) if with_metadata else "",
        )
    )
