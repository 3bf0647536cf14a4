"""Which operation a request asks for: one table from (level, method, restype, comp) to a function.

What isn't in the table is answered by the kind of thing that is wrong with it: an operation of the
service that this release doesn't have, by its parameter; a verb that never fits, by the verb. A
header that would change what is stored and that we don't know how to obey is refused as well: a
client must not believe that its tags, its tier or its lease took effect.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from storage_core.catalog.commands import (
    BLOCK_BYTES_MAX,
    INLINE_BODY_BYTES_MAX,
    PUT_BLOB_BYTES_MAX,
)
from storage_core.frontend import blobs, blocks, containers, reads, service, uploads
from storage_core.frontend.limits import DOCUMENT_BYTES_MAX
from storage_core.frontend.refusals import (
    Refusal,
    bad_header,
    unsupported_header,
    unsupported_parameter,
)
from telemetry import names

if TYPE_CHECKING:
    from storage_core.frontend.exchange import Exchange
    from storage_core.frontend.shape import Shape
    from storage_core.frontend.target import Target

NO_BODY: Final = 0
DOCUMENT: Final = 1
STREAM: Final = 2
INLINE_MAX: Final = INLINE_BODY_BYTES_MAX

SERVICE: Final = 0
CONTAINER: Final = 1
BLOB: Final = 2


class Operation(NamedTuple):
    """`number` is its name in the telemetry. `prepare` runs on the head, `answer` when all is here.

    `stream` runs instead of `answer` for a body that is too large to wait for.
    """

    number: int
    answer: Callable[[Exchange], None]
    body: int = NO_BODY
    body_bytes_max: int = 0
    prepare: Callable[[Exchange], None] | None = None
    stream: Callable[[Exchange], Coroutine[None, None, None]] | None = None


GET_BLOB: Final = Operation(names.GET_BLOB, reads.get_blob)
PUT_BLOB: Final = Operation(
    names.PUT_BLOB,
    uploads.answer,
    STREAM,
    PUT_BLOB_BYTES_MAX,
    blobs.prepare_put_blob,
    uploads.stream,
)
PUT_BLOCK: Final = Operation(
    names.PUT_BLOCK,
    uploads.answer,
    STREAM,
    BLOCK_BYTES_MAX,
    blocks.prepare_put_block,
    uploads.stream,
)
PUT_BLOCK_LIST: Final = Operation(
    names.PUT_BLOCK_LIST,
    blocks.put_block_list,
    DOCUMENT,
    DOCUMENT_BYTES_MAX,
    blocks.prepare_put_block_list,
)
_ACCOUNT = Operation(names.GET_ACCOUNT_INFORMATION, service.get_account_information)
_GET_CONTAINER = Operation(names.GET_CONTAINER_PROPERTIES, containers.get_container)
_GET_BLOB_METADATA = Operation(names.GET_BLOB_METADATA, reads.get_blob_metadata)

# (level, method, restype, comp)
_TABLE: Final[dict[tuple[int, bytes, str, str], Operation]] = {
    (SERVICE, b"GET", "", "list"): Operation(names.LIST_CONTAINERS, service.list_containers),
    (SERVICE, b"GET", "service", "properties"): Operation(
        names.GET_SERVICE_PROPERTIES, service.get_service_properties
    ),
    (SERVICE, b"GET", "account", "properties"): _ACCOUNT,
    (SERVICE, b"HEAD", "account", "properties"): _ACCOUNT,
    (CONTAINER, b"GET", "account", "properties"): _ACCOUNT,
    (CONTAINER, b"HEAD", "account", "properties"): _ACCOUNT,
    (CONTAINER, b"PUT", "container", ""): Operation(
        names.CREATE_CONTAINER, containers.create_container
    ),
    (CONTAINER, b"DELETE", "container", ""): Operation(
        names.DELETE_CONTAINER, containers.delete_container
    ),
    (CONTAINER, b"GET", "container", ""): _GET_CONTAINER,
    (CONTAINER, b"HEAD", "container", ""): _GET_CONTAINER,
    (CONTAINER, b"GET", "container", "metadata"): _GET_CONTAINER,
    (CONTAINER, b"HEAD", "container", "metadata"): _GET_CONTAINER,
    (CONTAINER, b"PUT", "container", "metadata"): Operation(
        names.SET_CONTAINER_METADATA, containers.set_container_metadata
    ),
    (CONTAINER, b"GET", "container", "acl"): Operation(
        names.GET_CONTAINER_ACL, containers.get_container_acl
    ),
    (CONTAINER, b"HEAD", "container", "acl"): Operation(
        names.GET_CONTAINER_ACL, containers.get_container_acl
    ),
    (CONTAINER, b"GET", "container", "list"): Operation(names.LIST_BLOBS, containers.list_blobs),
    (BLOB, b"GET", "account", "properties"): _ACCOUNT,
    (BLOB, b"HEAD", "account", "properties"): _ACCOUNT,
    (BLOB, b"GET", "", ""): GET_BLOB,
    (BLOB, b"HEAD", "", ""): Operation(names.GET_BLOB_PROPERTIES, reads.get_blob_properties),
    (BLOB, b"PUT", "", ""): PUT_BLOB,
    (BLOB, b"DELETE", "", ""): Operation(names.DELETE_BLOB, blobs.delete_blob),
    (BLOB, b"GET", "", "metadata"): _GET_BLOB_METADATA,
    (BLOB, b"HEAD", "", "metadata"): _GET_BLOB_METADATA,
    (BLOB, b"PUT", "", "metadata"): Operation(names.SET_BLOB_METADATA, blobs.set_blob_metadata),
    (BLOB, b"PUT", "", "properties"): Operation(
        names.SET_BLOB_PROPERTIES, blobs.set_blob_properties
    ),
    (BLOB, b"PUT", "", "block"): PUT_BLOCK,
    (BLOB, b"PUT", "", "blocklist"): PUT_BLOCK_LIST,
    (BLOB, b"GET", "", "blocklist"): Operation(names.GET_BLOCK_LIST, blocks.get_block_list),
}

_METHODS: Final = frozenset((b"GET", b"HEAD", b"PUT", b"DELETE"))
_REFUSED_PARAMETERS: Final = ("snapshot", "versionid", "prevsnapshot")


def route(method: bytes, target: Target, shape: Shape, headers: Mapping[bytes, bytes]) -> Operation:
    """The operation asked for. Raises the refusal that fits best."""
    level = BLOB if target.blob else (CONTAINER if target.container else SERVICE)
    if target.query:
        restype, comp = target.parameter("restype"), target.parameter("comp")
        for parameter in _REFUSED_PARAMETERS:
            if target.parameter(parameter):
                raise unsupported_parameter(parameter, target.parameter(parameter))
        operation = _TABLE.get((level, method, restype, comp))
    else:
        operation = _TABLE.get((level, method, "", ""))
    if operation is None:
        raise _nothing_fits(method, level, target)
    if method == b"PUT" or method == b"DELETE":
        for name in shape.unobeyed_on_writes:
            raise _unobeyed(name, headers[name])
        tier = headers.get(b"x-ms-access-tier")
        if tier is not None and tier.lower() != b"hot":
            raise bad_header("x-ms-access-tier", tier.decode("latin-1"), "All blobs are Hot.")
    for name in shape.unobeyed:
        raise _unobeyed(name, headers[name])
    return operation


def _unobeyed(name: bytes, value: bytes) -> Refusal:
    if name == b"x-ms-lease-id":
        return Refusal("LeaseNotPresentWithBlobOperation")
    reason = "This header is not obeyed in this release."
    return unsupported_header(name.decode(), value.decode("latin-1"), reason)


def _nothing_fits(method: bytes, level: int, target: Target) -> Refusal:
    restype, comp = target.parameter("restype"), target.parameter("comp")
    if method not in _METHODS and not comp:
        return Refusal("UnsupportedHttpVerb", headers=[("Allow", "DELETE, GET, HEAD, PUT")])
    if comp:
        return unsupported_parameter("comp", comp)
    if restype:
        return unsupported_parameter("restype", restype)
    if level == BLOB:
        return Refusal("UnsupportedHttpVerb", headers=[("Allow", "DELETE, GET, HEAD, PUT")])
    fields = [("QueryParameterName", "restype" if level == CONTAINER else "comp")]
    return Refusal("MissingRequiredQueryParameter", fields)
