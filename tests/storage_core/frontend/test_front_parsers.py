"""Header values, targets and signatures: whatever is sent, one reading or a refusal."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from email.utils import formatdate
from functools import cmp_to_key
from urllib.parse import quote

import pytest
from azure.storage.blob._shared import authentication
from hypothesis import given
from hypothesis import strategies as st

from storage_core.frontend import headers, listing, target, xml
from storage_core.frontend.auth import KeySchedule, collated
from storage_core.frontend.refusals import TABLE, Refusal

SECONDS = st.integers(0, 253_402_300_799)
HEADER_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12)
NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)


@given(SECONDS)
def test_an_http_date_reads_as_it_was_written(second: int) -> None:
    text = headers.http_date(second)

    assert text == formatdate(second, usegmt=True)
    assert headers.http_date_ms(text.encode()) == second * 1000


@given(st.binary(max_size=40))
def test_what_is_no_date_is_none_and_no_error(value: bytes) -> None:
    found = headers.http_date_ms(value)

    assert found is None or headers.http_date(found // 1000)[5:].encode() == value[5:]


@pytest.mark.parametrize(
    "value",
    [b"Sun, 31 Feb 2026 00:00:00 GMT", b"Sun, 22 Nov 2026 24:00:00 GMT", b"1 Jan 2026",
     "Sun, ٢٢ Nov 2026 00:00:00 GMT".encode(), b"Sun, 22 Nov 2026 00:00:00 GMT\n"],
)  # fmt: skip
def test_a_date_that_never_was_is_none(value: bytes) -> None:
    assert headers.http_date_ms(value) is None


@given(st.integers(1, 1 << 40), st.integers(0, 1 << 41), st.integers(0, 1 << 41))
def test_a_range_is_what_slicing_says(size: int, first: int, last: int) -> None:
    asked = {b"range": b"bytes=%d-%d" % (first, last)}
    if last < first or first >= size:
        with pytest.raises(Refusal):
            headers.byte_range(asked, size)
    else:
        found = headers.byte_range(asked, size)
        assert found is not None
        assert range(found.start, found.stop) == range(size)[first : last + 1]


@given(st.integers(0, 1 << 40), st.binary(max_size=24))
def test_any_range_header_is_a_range_within_or_a_refusal(size: int, value: bytes) -> None:
    try:
        found = headers.byte_range({b"x-ms-range": b"bytes=" + value}, size)
    except Refusal as refusal:
        assert refusal.code in ("InvalidHeaderValue", "InvalidRange")
    else:
        assert found is not None
        assert 0 <= found.start < found.stop <= size


@given(st.binary(max_size=24))
def test_a_number_is_ascii_digits_or_nothing(value: bytes) -> None:
    found = headers.number(value)

    digits = bool(value) and all(byte in b"0123456789" for byte in value) and len(value) < 20
    assert (found is not None) == digits
    assert found is None or found == int(value)


@pytest.mark.parametrize("value", ["١٢".encode(), b"1_0", b" 7 ", b"+5", b"-5", b"5\n", b""])
def test_python_s_own_ideas_of_a_number_are_refused(value: bytes) -> None:
    assert headers.number(value) is None


@given(st.binary(min_size=16, max_size=16))
def test_base64_has_one_spelling(digest: bytes) -> None:
    text = base64.b64encode(digest)

    assert headers.base64_bytes(text, 16) == digest
    assert headers.base64_bytes(b" " + text, 16) is None
    assert headers.base64_bytes(text.rstrip(b"="), 16) is None
    assert headers.base64_bytes(text[:-3] + bytes([text[-3] + 1]) + b"==", 16) is None


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_key_schedule_signs_as_hmac_does(key: bytes, message: bytes) -> None:
    expected = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest())

    assert KeySchedule(key).sign(message) == expected


@given(st.lists(HEADER_NAMES, unique=True, max_size=8))
def test_names_are_collated_as_the_vendor_s_client_does(names: list[str]) -> None:
    expected = sorted(names, key=cmp_to_key(authentication.compare))

    assert [name.decode() for name in collated(name.encode() for name in names)] == expected


@given(NAMES)
def test_a_blob_name_survives_the_url(name: str) -> None:
    parsed = target.parse(b"/account/box/" + quote(name).encode())

    assert (parsed.account, parsed.container, parsed.blob) == ("account", "box", name)


@given(st.binary(max_size=60))
def test_any_target_is_parsed_or_refused(url: bytes) -> None:
    try:
        parsed = target.parse(b"/" + url)
        target.check_names(parsed)
    except Refusal as refusal:
        assert refusal.code in TABLE
    else:
        assert "\x00" not in parsed.container + parsed.blob


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=20)), max_size=4))
def test_any_headers_are_read_or_refused(raw: list[tuple[bytes, bytes]]) -> None:
    known = (b"content-md5", b"x-ms-blob-content-md5", b"if-match", b"if-modified-since",
             b"x-ms-meta-a", b"x-ms-content-crc64", b"content-type")  # fmt: skip
    found = dict(zip(known, [value for _, value in raw], strict=False))
    for read in (
        headers.conditions,
        headers.content_crc64,
        lambda given: headers.content_md5(given, b"content-md5"),
        lambda given: headers.blob_properties(given, tuple(given), body_type=True),
        lambda given: headers.metadata(list(given.items())),
        lambda given: headers.metadata(raw),
    ):
        try:
            read(found)
        except Refusal as refusal:
            assert refusal.code in TABLE


@given(NAMES)
def test_a_marker_leads_back_to_its_name(name: str) -> None:
    text = listing.next_marker(name)[len("<NextMarker>") : -len("</NextMarker>")]
    parsed = target.parse(b"/a/b?marker=" + quote(text).encode())

    assert listing.asked_page(parsed, 5000).marker == name


@given(st.binary(max_size=100))
def test_any_document_is_a_block_list_or_a_refusal(document: bytes) -> None:
    for data in (document, b"<BlockList>" + document + b"</BlockList>"):
        try:
            xml.block_list(data, {"Latest": 2})
        except Refusal as refusal:
            assert refusal.code == "InvalidXmlDocument"


def test_times_are_written_as_the_service_writes_them() -> None:
    moment = datetime(2026, 11, 22, 1, 2, 3, 456_000, UTC)

    assert xml.iso_time(int(moment.timestamp() * 1000)) == "2026-11-22T01:02:03.4560000Z"


def test_an_error_document_can_hold_whatever_a_client_sent() -> None:
    refusal = Refusal("InvalidInput", [("Reason", "<\x00\ud800&>")])

    assert b"<Reason>&lt;?&amp;&gt;</Reason>" in xml.error_document(refusal, "id", 0)
