"""What is wrong with a request is told in the service's words, and nothing of it is stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate

import pytest

from storage_core.frontend.limits import Limits
from tests.storage_core.frontend.serving import Serving
from tests.storage_core.frontend.solo import KEYS, OTHER_ACCOUNT
from tests.storage_core.frontend.wire import (
    Answer,
    Wire,
    crc_text,
    md5_text,
    put_blob,
    raw,
    request,
)

KIB = 1024
LARGE = b"0123456789abcdef" * (64 * KIB)


def assert_unharmed(serving: Serving, wire: Wire, answer: Answer, status: int, code: str) -> None:
    """The right answer, the connection alive, nothing stored."""
    assert (answer.status, answer.code) == (status, code), answer
    assert answer.headers["content-type"] == "application/xml"
    assert answer.body.startswith(b'<?xml version="1.0" encoding="utf-8"?><Error><Code>')
    if answer.headers.get("connection") != "close":
        assert wire.ask(request("GET", "/box/none")).code == "BlobNotFound"
    serving.until(lambda: serving.store.stored_bytes() == 0)
    serving.until(lambda: serving.front.budget.taken_bytes == 0)


def date_in(minutes: float) -> str:
    """Requests below are made when they are sent: a signature is good for 15 minutes only."""
    return formatdate(time.time() + 60 * minutes, usegmt=True)


@pytest.mark.parametrize(
    "data",
    [
        lambda: put_blob("/box/x", b"data", key=b"some other key"),
        lambda: put_blob("/box/x", b"data", date=date_in(-20)),
        lambda: put_blob("/box/x", b"data", date=date_in(20)),
        lambda: put_blob("/box/x", b"data", date="yesterday"),
        lambda: put_blob("/box/x", b"data", account="nobody"),
        lambda: put_blob("/box/x", b"data", key=KEYS[OTHER_ACCOUNT]),
        lambda: put_blob("/box/x", b"data").replace(b"/devstoreaccount1/box", b"/team/box"),
        lambda: put_blob("/box/x", b"data").replace(b"/box/x HTTP", b"/box/y HTTP"),
        lambda: put_blob("/box/x", b"data").replace(b"SharedKey ", b"Bearer "),
        lambda: put_blob("/box/x", b"data").replace(b"=\r\n\r\n", b"==\r\n\r\n"),
        lambda: put_blob("/box/x", b"data").replace(b"BlockBlob", b"PageBlob "),
        lambda: put_blob("/BAD NAME/x".replace(" ", "%20"), b"data", key=b"some other key"),
        lambda: raw("PUT", "/devstoreaccount1/box/x", {"Content-Length": "4"}, b"data"),
        lambda: raw("PUT", "/", {"Content-Length": "4"}, b"data"),
    ],
)
def test_whoever_is_not_authenticated_learns_nothing(
    serving: Serving, wire: Wire, data: Callable[[], bytes]
) -> None:
    answer = wire.ask(data())

    assert_unharmed(serving, wire, answer, 403, "AuthenticationFailed")
    assert answer.body.count(b"<") == 7, "Error, Code, Message and nothing more"


def test_a_signature_of_either_header_order_is_taken(serving: Serving, wire: Wire) -> None:
    headers = {"x-ms-meta-a_": "1", "x-ms-meta-a1": "2"}
    assert wire.ask(put_blob("/box/x", b"d", headers)).status == 201


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (lambda: request("PUT", "/Box?restype=container", {}, b""), 400, "InvalidResourceName"),
        (lambda: request("PUT", "/a--b?restype=container", {}, b""), 400, "InvalidResourceName"),
        (lambda: request("PUT", "/ab?restype=container", {}, b""), 400, "OutOfRangeInput"),
        (lambda: request("PUT", "/%24root?restype=container", {}, b""), 400, "InvalidResourceName"),
        (lambda: put_blob("/box/a%00b", b"data"), 400, "InvalidResourceName"),
        (lambda: put_blob("/box/a%0Ab", b"data"), 400, "InvalidResourceName"),
        (lambda: put_blob("/box/" + "n" * 1025, b"data"), 400, "InvalidResourceName"),
        (
            lambda: put_blob("/box/x", b"data", {"x-ms-version": "2011-08-18"}),
            400,
            "InvalidHeaderValue",
        ),
        (lambda: put_blob("/box/x", b"data", {"x-ms-version": None}), 400, "MissingRequiredHeader"),
        (
            lambda: put_blob("/box/x", b"data", {"x-ms-blob-type": None}),
            400,
            "MissingRequiredHeader",
        ),
        (
            lambda: put_blob("/box/x", b"", {"x-ms-blob-type": "PageBlob"}),
            400,
            "InvalidHeaderValue",
        ),
        (lambda: put_blob("/box/x", b"data", {"x-ms-tags": "a=b"}), 400, "UnsupportedHeader"),
        (
            lambda: put_blob("/box/x", b"", {"x-ms-copy-source": "http://h/"}),
            400,
            "UnsupportedHeader",
        ),
        (
            lambda: put_blob("/box/x", b"data", {"x-ms-access-tier": "Archive"}),
            400,
            "InvalidHeaderValue",
        ),
        (
            lambda: put_blob("/box/x", b"d", {"x-ms-lease-id": "1"}),
            412,
            "LeaseNotPresentWithBlobOperation",
        ),
        (lambda: put_blob("/box/x", b"data", {"x-ms-meta-a-b": "1"}), 400, "InvalidMetadata"),
        (lambda: put_blob("/box/x", b"data", {"x-ms-meta-": "1"}), 400, "EmptyMetadataKey"),
        (lambda: put_blob("/box/x", b"data", {"x-ms-meta-a": "1" * 8192}), 400, "MetadataTooLarge"),
        (
            lambda: put_blob("/box/x", b"data", {"If-Modified-Since": "soon"}),
            400,
            "InvalidHeaderValue",
        ),
        (
            lambda: put_blob("/box/x", b"data", {"Content-MD5": md5_text(b"else")}),
            400,
            "Md5Mismatch",
        ),
        (lambda: put_blob("/box/x", b"data", {"Content-MD5": "AAAA"}), 400, "InvalidMd5"),
        (
            lambda: put_blob("/box/x", b"data", {"x-ms-content-crc64": crc_text(b"else")}),
            400,
            "Crc64Mismatch",
        ),
        (lambda: put_blob("/box/x", b"data", {"x-ms-content-crc64": "!"}), 400, "InvalidCrc64"),
        (lambda: put_blob("/nobox/x", b"data"), 404, "ContainerNotFound"),
        (lambda: put_blob("/box/x?timeout=abc", b"data"), 400, "InvalidQueryParameterValue"),
        (lambda: put_blob("/box/x?comp=block&blockid=!", b"data"), 400, "InvalidBlockId"),
        (lambda: put_blob("/box/x?comp=block", b"data"), 400, "MissingRequiredQueryParameter"),
        (lambda: put_blob("/box/x?comp=block&blockid=" + "QUFB" * 22, b"d"), 400, "InvalidBlockId"),
        (lambda: put_blob("/box/x?comp=lease", b""), 400, "UnsupportedQueryParameter"),
        (lambda: put_blob("/box/x?comp=tier", b""), 400, "UnsupportedQueryParameter"),
        (lambda: request("POST", "/?comp=batch", {}, b""), 400, "UnsupportedQueryParameter"),
        (lambda: request("GET", "/box/x?snapshot=2020"), 400, "UnsupportedQueryParameter"),
        (lambda: request("POST", "/box/x", {}, b""), 405, "UnsupportedHttpVerb"),
        (lambda: request("GET", "/box"), 400, "MissingRequiredQueryParameter"),
        (
            lambda: request("GET", "/box?restype=container&comp=list&maxresults=0"),
            400,
            "OutOfRangeQueryParameterValue",
        ),
        (
            lambda: request("GET", "/box?restype=container&comp=list&maxresults=%D9%A1"),
            400,
            "InvalidQueryParameterValue",
        ),
        (
            lambda: request("GET", "/box?restype=container&comp=list&marker=%21"),
            400,
            "InvalidQueryParameterValue",
        ),
        (
            lambda: request("GET", "/box?restype=container&comp=list&include=uncommittedblobs"),
            400,
            "InvalidQueryParameterValue",
        ),
        (lambda: request("GET", "/box/%zz"), 400, "InvalidUri"),
        (lambda: request("GET", "/box/%FF"), 400, "InvalidUri"),
    ],
)
def test_a_bad_request_is_refused_by_name(
    serving: Serving, wire: Wire, data: Callable[[], bytes], status: int, code: str
) -> None:
    assert_unharmed(serving, wire, wire.ask(data()), status, code)


def test_a_client_body_longer_than_declared_spoils_only_what_follows(
    serving: Serving, wire: Wire
) -> None:
    data = put_blob("/box/x", b"data") + b"more than was declared\r\n\r\n"

    assert wire.ask(data).status == 201
    answer = wire.answer()
    assert (answer.status, answer.code) == (400, "InvalidInput")
    assert answer.headers["connection"] == "close"
    assert wire.is_closed


def test_a_body_shorter_than_declared_stores_nothing(serving: Serving, wire: Wire) -> None:
    wire.send(put_blob("/box/x", LARGE)[:-1])
    serving.until(lambda: serving.store.stored_bytes() > 0)

    wire.half_close()

    assert wire.is_closed
    serving.until(lambda: serving.store.stored_bytes() == 0)
    with Wire(serving.port) as other:
        assert other.ask(request("GET", "/box/x")).code == "BlobNotFound"


def test_a_small_body_shorter_than_declared_stores_nothing(serving: Serving, wire: Wire) -> None:
    wire.send(put_blob("/box/x", b"data")[:-1])
    wire.half_close()

    assert wire.is_closed
    serving.until(lambda: serving.front.budget.taken_bytes == 0)
    assert serving.store.stored_bytes() == 0


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-MD5": md5_text(b"else")}, "Md5Mismatch"),
        ({"x-ms-content-crc64": crc_text(b"else")}, "Crc64Mismatch"),
    ],
)
def test_a_large_body_that_fails_its_checksum_leaves_no_chunk(
    serving: Serving, wire: Wire, headers: dict[str, str], code: str
) -> None:
    answer = wire.ask(put_blob("/box/x", LARGE, headers))

    assert_unharmed(serving, wire, answer, 400, code)


def test_a_client_that_leaves_in_the_middle_leaves_no_chunk(serving: Serving, wire: Wire) -> None:
    wire.send(put_blob("/box/x", LARGE)[: len(LARGE) // 2])
    serving.until(lambda: serving.store.stored_bytes() > 0)

    wire.reset()

    serving.until(lambda: serving.store.stored_bytes() == 0)
    serving.until(lambda: serving.front.budget.taken_bytes == 0)


def test_a_large_body_for_nowhere_is_refused_before_it_is_sent(
    serving: Serving, wire: Wire
) -> None:
    data = put_blob("/nobox/x", LARGE, {"Expect": "100-continue"})
    head = data[: -len(LARGE)]

    answer = wire.ask(head)

    assert (answer.status, answer.code) == (404, "ContainerNotFound")
    assert wire.ask(LARGE + request("GET", "/box/none")).code == "BlobNotFound"


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ("bytes=5-2", 400, "InvalidHeaderValue"),
        ("bytes=-", 400, "InvalidHeaderValue"),
        ("bytes=0-1,3-4", 400, "InvalidHeaderValue"),
        ("bytes=+1-2", 400, "InvalidHeaderValue"),
        ("bytes=0x1-", 400, "InvalidHeaderValue"),
        ("items=0-1", 400, "InvalidHeaderValue"),
        ("bytes=4-", 416, "InvalidRange"),
        ("bytes=99999999999999999-", 416, "InvalidRange"),
        ("bytes=-0", 416, "InvalidRange"),
    ],
)
@pytest.mark.parametrize("name", ["Range", "x-ms-range"])
def test_a_bad_range_is_refused(wire: Wire, name: str, asked: str, status: int, code: str) -> None:
    wire.ask(put_blob("/box/x", b"data"))

    answer = wire.ask(request("GET", "/box/x", {name: asked}))

    assert (answer.status, answer.code) == (status, code)
    if status == 416:
        assert answer.headers["content-range"] == "bytes */4"


def test_a_checksum_of_a_huge_range_is_refused(wire: Wire) -> None:
    wire.ask(put_blob("/box/x", LARGE * 5))

    headers = {"x-ms-range": "bytes=0-", "x-ms-range-get-content-md5": "true"}
    assert wire.ask(request("GET", "/box/x", headers)).code == "OutOfRangeInput"


XML_HEAD = b'<?xml version="1.0"?>'


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"", "InvalidXmlDocument"),
        (b"<BlockList>", "InvalidXmlDocument"),
        (b"<List></List>", "InvalidXmlDocument"),
        (b"<BlockList><Latest><a/></Latest></BlockList>", "InvalidXmlDocument"),
        (b"<BlockList>text</BlockList>", "InvalidXmlDocument"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><BlockList/>', "InvalidXmlDocument"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><BlockList/>', "InvalidXmlDocument"),
        (b"<?php x?><BlockList/>", "InvalidXmlDocument"),
        (b"\xff\xfe<", "InvalidXmlDocument"),
        (b"<BlockList><Latest>!</Latest></BlockList>", "InvalidBlockId"),
        (b"<BlockList><Latest>QUFB</Latest></BlockList>", "InvalidBlockList"),
        (b"<BlockList>" + b"<Latest>QUFB</Latest>" * 50_001 + b"</BlockList>", "BlockListTooLong"),
    ],
)
def test_a_bad_block_list_is_refused(
    serving: Serving, wire: Wire, document: bytes, code: str
) -> None:
    answer = wire.ask(request("PUT", "/box/x?comp=blocklist", {}, document))

    assert_unharmed(serving, wire, answer, 400, code)


def test_a_block_list_over_its_limit_is_refused_unread(serving: Serving, wire: Wire) -> None:
    data = request("PUT", "/box/x?comp=blocklist", {"Content-Length": "9000000"})

    assert wire.ask(data).code == "RequestBodyTooLarge"
    wire.half_close()
    assert wire.is_closed


def test_a_put_without_length_is_refused(serving: Serving, wire: Wire) -> None:
    data = request("PUT", "/box/x", {"x-ms-blob-type": "BlockBlob"})

    assert_unharmed(serving, wire, wire.ask(data), 411, "MissingContentLengthHeader")


def test_a_blob_over_its_limit_is_refused_by_its_length(serving: Serving, wire: Wire) -> None:
    headers = {"x-ms-blob-type": "BlockBlob", "Content-Length": str(5001 << 20)}

    answer = wire.ask(request("PUT", "/box/x", headers))

    assert (answer.status, answer.code) == (413, "RequestBodyTooLarge")
    assert answer.headers["connection"] == "close"


def test_the_emulator_key_is_nothing_to_a_peer_from_elsewhere(serving: Serving) -> None:
    def check(loopback: bool) -> str:
        connection = next(iter(serving.front.connections))
        connection.loopback = loopback
        return "done"

    with Wire(serving.port) as wire:
        assert wire.ask(request("GET", "/?comp=list")).status == 200
        serving.on_loop(lambda: check(False))
        assert wire.ask(request("GET", "/?comp=list")).code == "AuthenticationFailed"
        assert wire.ask(request("GET", "/?comp=list", account=OTHER_ACCOUNT)).status == 200


def test_a_full_house_refuses_the_next_guest(make_serving: Callable[[Limits], Serving]) -> None:
    serving = make_serving(Limits(connection_count_max=2))
    with Wire(serving.port) as first, Wire(serving.port) as second:
        assert first.ask(request("GET", "/?comp=list")).status == 200
        assert second.ask(request("GET", "/?comp=list")).status == 200
        with Wire(serving.port) as third:
            answer = third.answer()

    assert (answer.status, answer.code) == (503, "ServerBusy")
