"""Every answer that is not a success: the service's code, its HTTP status and its sentence.

Clients act on the code and the status, people read the sentence; both must be the ones that Azure
uses, or an SDK retries what it shouldn't. A refusal may add fields that name the culprit (a header,
a parameter, a limit). Nothing here tells which part of an authentication failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# code -> (status, sentence)
TABLE: Final[dict[str, tuple[int, str]]] = {
    "AccountAlreadyExists": (409, "The specified account already exists."),
    "AuthenticationFailed": (
        403,
        "Server failed to authenticate the request. Make sure the value of Authorization header "
        "is formed correctly including the signature.",
    ),
    "BlobAlreadyExists": (409, "The specified blob already exists."),
    "BlobNotFound": (404, "The specified blob does not exist."),
    "BlockCountExceedsLimit": (
        409,
        "The uncommitted block count cannot exceed the maximum limit of 100,000 blocks.",
    ),
    "BlockListTooLong": (400, "The block list may not contain more than 50,000 blocks."),
    "ConditionNotMet": (
        412,
        "The condition specified using HTTP conditional header(s) is not met.",
    ),
    "ContainerAlreadyExists": (409, "The specified container already exists."),
    "ContainerNotFound": (404, "The specified container does not exist."),
    "Crc64Mismatch": (
        400,
        "The CRC64 value specified in the request did not match with the CRC64 value calculated "
        "by the server.",
    ),
    "EmptyMetadataKey": (400, "The key for one of the metadata key-value pairs is empty."),
    "InternalError": (
        500,
        "Server encountered an internal error. Please try again after some time.",
    ),
    "InvalidBlobOrBlock": (400, "The specified blob or block content is invalid."),
    "InvalidBlockId": (
        400,
        "The specified block ID is invalid. The block ID must be Base64-encoded.",
    ),
    "InvalidBlockList": (400, "The specified block list is invalid."),
    "InvalidCrc64": (400, "The CRC64 value specified in the request is invalid."),
    "InvalidHeaderValue": (
        400,
        "The value for one of the HTTP headers is not in the correct format.",
    ),
    "InvalidInput": (400, "One of the request inputs is not valid."),
    "InvalidMd5": (
        400,
        "The MD5 value specified in the request is invalid. The MD5 value must be 128 bits and "
        "Base64-encoded.",
    ),
    "InvalidMetadata": (
        400,
        "The specified metadata is invalid. It includes characters that are not permitted.",
    ),
    "InvalidQueryParameterValue": (
        400,
        "Value for one of the query parameters specified in the request URI is invalid.",
    ),
    "InvalidRange": (416, "The range specified is invalid for the current size of the resource."),
    "InvalidResourceName": (400, "The specified resource name contains invalid characters."),
    "InvalidUri": (400, "The requested URI does not represent any resource on the server."),
    "InvalidXmlDocument": (400, "XML specified is not syntactically valid."),
    "LeaseNotPresentWithBlobOperation": (412, "There is currently no lease on the blob."),
    "Md5Mismatch": (
        400,
        "The MD5 value specified in the request did not match with the MD5 value calculated by "
        "the server.",
    ),
    "MetadataTooLarge": (
        400,
        "The size of the specified metadata exceeds the maximum size permitted.",
    ),
    "MissingContentLengthHeader": (411, "The content length header is not specified."),
    "MissingRequiredHeader": (
        400,
        "An HTTP header that's mandatory for this request is not specified.",
    ),
    "MissingRequiredQueryParameter": (
        400,
        "A query parameter that's mandatory for this request is not specified.",
    ),
    "OperationTimedOut": (
        500,
        "Operation could not be completed within the specified time.",
    ),
    "OutOfRangeInput": (400, "One of the request inputs is out of range."),
    "OutOfRangeQueryParameterValue": (
        400,
        "One of the query parameters specified in the request URI is outside the permissible "
        "range.",
    ),
    "PublicAccessNotPermitted": (
        409,
        "Public access is not permitted on this storage account.",
    ),
    "RequestBodyTooLarge": (
        413,
        "The request body is too large and exceeds the maximum permissible limit.",
    ),
    "ResourceNotFound": (404, "The specified resource does not exist."),
    "ServerBusy": (
        503,
        "The server is currently unable to receive requests. Please retry your request.",
    ),
    "UnsupportedHeader": (
        400,
        "One of the HTTP headers specified in the request is not supported.",
    ),
    "UnsupportedHttpVerb": (405, "The resource doesn't support specified Http Verb."),
    "UnsupportedQueryParameter": (
        400,
        "One of the query parameters specified in the request URI is not supported.",
    ),
}

Fields = Sequence[tuple[str, str]]


class Refusal(Exception):
    """A request that is answered with an error of the service.

    `fields` become elements of the error document, `headers` lines of the answer. `close` says
    that the connection can't be read on, whatever else is true of it.
    """

    def __init__(
        self,
        code: str,
        fields: Fields = (),
        *,
        status: int = 0,
        headers: Fields = (),
        close: bool = False,
    ) -> None:
        super().__init__(code)
        assert code in TABLE, code
        self.code = code
        self.status = status or TABLE[code][0]
        self.sentence = TABLE[code][1]
        self.fields = fields
        self.headers = headers
        self.close = close


def bad_header(name: str, value: str, reason: str = "") -> Refusal:
    fields = [("HeaderName", name), ("HeaderValue", value)]
    return Refusal("InvalidHeaderValue", fields + ([("Reason", reason)] if reason else []))


def bad_parameter(name: str, value: str, reason: str = "") -> Refusal:
    fields = [("QueryParameterName", name), ("QueryParameterValue", value)]
    code = "InvalidQueryParameterValue"
    return Refusal(code, fields + ([("Reason", reason)] if reason else []))


def unsupported_header(name: str, value: str, reason: str = "") -> Refusal:
    fields = [("HeaderName", name), ("HeaderValue", value)]
    return Refusal("UnsupportedHeader", fields + ([("Reason", reason)] if reason else []))


def unsupported_parameter(name: str, value: str) -> Refusal:
    fields = [
        ("QueryParameterName", name),
        ("QueryParameterValue", value),
        ("Reason", "This operation is not part of this release."),
    ]
    return Refusal("UnsupportedQueryParameter", fields)


def malformed(reason: str, *, status: int = 400) -> Refusal:
    """HTTP itself is broken, so that nothing after it on the connection can be trusted."""
    return Refusal("InvalidInput", [("Reason", reason)], status=status, close=True)


def over_limit(account: str, requests_per_ks: int, retry_after_s: int) -> Refusal:
    """The account has had what its limit allows."""
    reason = "The account %s is limited to %g requests a second on this node." % (
        account,
        requests_per_ks / 1000,
    )
    retry = [("Retry-After", "%d" % retry_after_s)]
    return Refusal("ServerBusy", [("Reason", reason)], headers=retry)


def too_slow(what: str, limit_s: float) -> Refusal:
    """A client took longer for `what` than anybody is waited for."""
    reason = "The %s did not arrive within %g s." % (what, limit_s)
    return Refusal("OperationTimedOut", [("Reason", reason)], status=408, close=True)
