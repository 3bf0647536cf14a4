"""Shapes: what is said from names alone must be what the headers themselves would say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_core.frontend import shape as shapes
from storage_core.frontend.auth import Signing, collated, string_to_sign
from storage_core.frontend.shape import Shape, shape_of
from tests.storage_core.frontend.serving import Serving
from tests.storage_core.frontend.wire import Wire, put_blob, request

KNOWN = (
    b"Authorization", b"Content-Encoding", b"Content-Language", b"Content-Length", b"Content-MD5",
    b"Content-Type", b"Date", b"Expect", b"Host", b"If-Match", b"If-Modified-Since", b"Range",
    b"If-None-Match", b"If-Unmodified-Since", b"Traceparent", b"Transfer-Encoding", b"Upgrade",
    b"X-MS-Blob-Content-Type", b"x-ms-blob-type", b"x-ms-date", b"x-ms-if-tags", b"x-ms-legal-hold",
    b"x-ms-lease-id", b"x-ms-meta-Key", b"x-ms-meta-a_b", b"x-ms-meta-a1", b"x-ms-range",
    b"x-ms-tags", b"x-ms-version", b"x-ms-odd%name", b"x-ms-client-request-id",
)  # fmt: skip
NAMES = st.lists(st.sampled_from(KNOWN), unique_by=bytes.lower)
VALUES = st.sampled_from((b"", b"0", b"17", b"a b", b"100%", b"%b", b"Mon, 02 Nov 2026 GMT"))


@given(st.data(), NAMES)
def test_a_form_filled_in_is_the_string_to_sign(data: st.DataObject, names: list[bytes]) -> None:
    headers = {name.lower(): data.draw(VALUES) for name in names}
    by_bytes = sorted(name for name in headers if name.startswith(b"x-ms-"))
    signing = Signing(headers.keys())

    assert signing.message(b"PUT", headers, b"/a/b") == string_to_sign(
        b"PUT", headers, by_bytes, b"/a/b"
    )
    assert set(map(tuple, signing.orders)) == {tuple(by_bytes), tuple(collated(by_bytes))}


@given(NAMES)
def test_a_shape_says_what_the_headers_say(names: list[bytes]) -> None:
    present = {name.lower() for name in names}
    shape = shape_of(tuple(names))

    assert shape.names == tuple(name.lower() for name in names)
    assert not shape.is_repeated
    assert shape.is_conditional == any(name.startswith(b"if-") for name in present)
    assert shape.has_range == bool(present & {b"range", b"x-ms-range"})
    assert shape.is_framed == bool(present & {b"content-length", b"transfer-encoding", b"upgrade"})
    assert shape.has_metadata == any(name.startswith(b"x-ms-meta-") for name in present)
    assert shape.expects == (b"expect" in present)
    assert shape.has_traceparent == (b"traceparent" in present)
    assert shape.has_client_id == (b"x-ms-client-request-id" in present)
    assert set(shape.unobeyed) == present & {b"x-ms-if-tags", b"x-ms-lease-id"}
    assert set(shape.unobeyed_on_writes) == present & {b"x-ms-legal-hold", b"x-ms-tags"}
    assert set(shape.describing) == present & {
        b"content-encoding", b"content-language", b"content-type", b"x-ms-blob-content-type"
    }  # fmt: skip


def test_a_name_given_twice_is_seen_in_any_case() -> None:
    assert Shape((b"x-ms-date", b"X-MS-Date")).is_repeated


def test_shapes_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_known", {})
    monkeypatch.setattr(shapes, "_KNOWN_MAX", 4)

    for number in range(9):
        assert shape_of((b"x-%d" % number,)).names == (b"x-%d" % number,)
        assert len(shapes._known) <= 4
    long = (b"x" * (shapes._KNOWN_BYTES_MAX + 1),)
    assert shape_of(long).names == long
    assert long not in shapes._known


def test_a_kept_shape_answers_as_a_fresh_one(serving: Serving, wire: Wire) -> None:
    """The first request of a kind makes the shape, the second finds it; answers are the same."""
    asked = [
        put_blob("/box/b", b"body", {"x-ms-meta-Key": "v"}),
        request("GET", "/box/b"),
        request("GET", "/box/b", {"Range": "bytes=1-2"}),
        request("GET", "/box/b", {"If-None-Match": "*"}),
        request("GET", "/box/b", {"x-ms-lease-id": "1"}),
        put_blob("/box/b", b"body", {"x-ms-tags": "a=b"}),
        request("GET", "/box/none"),
        request("GET", "/box/b", {"x-ms-meta-a_b": "1", "x-ms-meta-a1": "2"}),
    ]
    varying = ("date", "x-ms-request-id", "etag", "last-modified", "x-ms-holdfast-receipt",
               "x-ms-creation-time")  # fmt: skip

    def told(data: bytes) -> tuple[int, dict[str, str], int]:
        answer = wire.ask(data)
        kept = {name: value for name, value in answer.headers.items() if name not in varying}
        return answer.status, kept, len(answer.body)

    shapes._known.clear()
    fresh = [told(data) for data in asked]
    assert fresh == [told(data) for data in asked]
    assert {status for status, _, _ in fresh} == {200, 201, 206, 304, 400, 404, 412}
