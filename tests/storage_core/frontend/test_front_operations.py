"""What each operation does, said in raw requests: receipts, conditions, lists, blocks, ranges."""

from __future__ import annotations

import pytest

from storage_core.catalog.commands import STATUS
from storage_core.frontend.limits import KIB, MIB
from storage_core.frontend.refusals import TABLE
from tests.storage_core.frontend.serving import Serving
from tests.storage_core.frontend.wire import Wire, crc_text, md5_text, put_blob, request

LARGE = bytes(range(256)) * 4 * KIB


def test_a_write_is_answered_with_its_receipt(wire: Wire) -> None:
    answer = wire.ask(put_blob("/box/x", b"data"))

    receipt = dict(
        part.split("=", 1) for part in answer.headers["x-ms-holdfast-receipt"].split(";")
    )
    assert receipt == {"group": "1", "term": "1", "index": "4", "crc64": crc_text(b"data")}
    assert answer.headers["etag"] == '"0x8D%014X"' % 4
    assert answer.headers["x-ms-content-crc64"] == crc_text(b"data")


@pytest.mark.parametrize("version", ["2019-12-12", "2026-10-06", "2031-01-01"])
def test_every_version_from_2019_on_is_served_and_echoed(wire: Wire, version: str) -> None:
    answer = wire.ask(request("GET", "/?comp=list", {"x-ms-version": version}))

    assert (answer.status, answer.headers["x-ms-version"]) == (200, version)


def test_a_client_s_request_id_comes_back(wire: Wire) -> None:
    answer = wire.ask(request("GET", "/?comp=list", {"x-ms-client-request-id": "abc-1"}))
    assert answer.headers["x-ms-client-request-id"] == "abc-1"

    answer = wire.ask(request("GET", "/?comp=list", {"x-ms-client-request-id": "a" * 1025}))
    assert "x-ms-client-request-id" not in answer.headers


def test_date_may_stand_for_x_ms_date(wire: Wire) -> None:
    data = request("GET", "/?comp=list")
    date = data.split(b"x-ms-date: ")[1].split(b"\r\n")[0].decode()

    answer = wire.ask(request("GET", "/?comp=list", {"x-ms-date": None, "Date": date}))

    assert answer.status == 200


@pytest.mark.parametrize("size", [1, 64 * KIB, 200 * KIB, MIB + 1])
def test_checksums_that_agree_are_taken_and_kept(wire: Wire, size: int) -> None:
    body = (LARGE * 2)[:size]
    headers = {"Content-MD5": md5_text(body), "x-ms-content-crc64": crc_text(body)}

    answer = wire.ask(put_blob("/box/x", body, headers))

    assert answer.status == 201, answer
    assert answer.headers["content-md5"] == md5_text(body)
    read = wire.ask(request("GET", "/box/x"))
    assert read.body == body
    assert read.headers["content-md5"] == md5_text(body)
    assert read.headers["x-ms-content-crc64"] == crc_text(body)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": '"0x8D00000000000004"'}, 200),
        ({"If-Match": '"0x8D00000000000003", *'}, 200),
        ({"If-Match": '"0x8D00000000000003"'}, 412),
        ({"If-None-Match": '"0x8D00000000000004"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"0x8D00000000000003"'}, 200),
        ({"If-Modified-Since": "Mon, 01 Jan 2035 00:00:00 GMT"}, 304),
        ({"If-Modified-Since": "Mon, 01 Jan 2018 00:00:00 GMT"}, 200),
        ({"If-Unmodified-Since": "Mon, 01 Jan 2018 00:00:00 GMT"}, 412),
        ({"If-Unmodified-Since": "Mon, 01 Jan 2035 00:00:00 GMT"}, 200),
    ],
)
def test_conditions_on_reads(wire: Wire, headers: dict[str, str], status: int) -> None:
    wire.ask(put_blob("/box/x", b"data"))

    for method in ("GET", "HEAD"):
        answer = wire.ask(request(method, "/box/x", headers), head=method == "HEAD")
        assert answer.status == status
        if status != 200:
            assert answer.headers["x-ms-error-code"] == "ConditionNotMet"


def test_conditions_on_writes(wire: Wire) -> None:
    assert wire.ask(put_blob("/box/x", b"1", {"If-Match": "*"})).code == "ConditionNotMet"
    first = wire.ask(put_blob("/box/x", b"1", {"If-None-Match": "*"}))
    assert first.status == 201
    assert wire.ask(put_blob("/box/x", b"2", {"If-None-Match": "*"})).code == "BlobAlreadyExists"
    second = wire.ask(put_blob("/box/x", b"3", {"If-Match": first.headers["etag"]}))
    assert second.status == 201
    stale = {"If-Match": first.headers["etag"]}
    assert wire.ask(request("DELETE", "/box/x", stale)).status == 412
    assert wire.ask(request("GET", "/box/x")).body == b"3"


def test_reads_of_a_follower_wait_for_their_barrier(serving: Serving, wire: Wire) -> None:
    wire.ask(put_blob("/box/x", b"data"))
    serving.on_loop(lambda: setattr(serving.store, "behind", True))

    assert wire.ask(request("GET", "/box/x")).body == b"data"
    assert wire.ask(request("GET", "/box/none")).code == "BlobNotFound"


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-", 0, 3 * MIB),
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=262143-262144", 262_143, 262_145),
        ("bytes=262144-524287", 262_144, 524_288),
        ("bytes=100000-2900000", 100_000, 2_900_001),
        ("bytes=3145727-99999999", 3 * MIB - 1, 3 * MIB),
        ("bytes=-7", 3 * MIB - 7, 3 * MIB),
        ("bytes=-99999999", 0, 3 * MIB),
    ],
)
def test_a_range_is_that_range(
    serving: Serving, wire: Wire, asked: str, start: int, stop: int, cold: bool
) -> None:
    body = LARGE * 3
    wire.ask(put_blob("/box/x", body, {"Content-MD5": md5_text(body)}))
    serving.on_loop(lambda: setattr(serving.store, "cold", cold))

    answer = wire.ask(request("GET", "/box/x", {"Range": "bytes=1-2", "x-ms-range": asked}))

    assert answer.status == 206
    assert answer.body == body[start:stop]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{3 * MIB}"
    assert answer.headers["x-ms-blob-content-md5"] == md5_text(body)
    assert "content-md5" not in answer.headers


def test_a_range_comes_with_the_checksums_asked_for(wire: Wire) -> None:
    wire.ask(put_blob("/box/x", LARGE))
    headers = {
        "Range": "bytes=5-600000",
        "x-ms-range-get-content-md5": "true",
        "x-ms-range-get-content-crc64": "true",
    }

    answer = wire.ask(request("GET", "/box/x", headers))

    assert answer.headers["content-md5"] == md5_text(LARGE[5:600001])
    assert answer.headers["x-ms-content-crc64"] == crc_text(LARGE[5:600001])


def test_an_answer_that_can_t_be_finished_is_cut_off(serving: Serving, wire: Wire) -> None:
    wire.ask(put_blob("/box/x", LARGE))

    def lose_last() -> None:
        serving.store.cold = True
        del serving.store.bodies[max(serving.store.bodies)]

    serving.on_loop(lose_last)
    wire.send(request("GET", "/box/x"))

    with pytest.raises(EOFError):
        wire.answer()


def test_a_damaged_small_body_is_an_honest_error(serving: Serving, wire: Wire) -> None:
    wire.ask(put_blob("/box/x", b"data"))
    serving.on_loop(serving.store.bodies.clear)

    answer = wire.ask(request("GET", "/box/x"))

    assert (answer.status, answer.code) == (500, "InternalError")


def test_blocks_become_a_blob_in_the_order_of_the_list(wire: Wire) -> None:
    ids = ["QUFB", "QUFC", "QUFD"]
    for block_id, body in zip(ids, (b"one", LARGE, b"three"), strict=True):
        answer = wire.ask(request("PUT", f"/box/x?comp=block&blockid={block_id}", {}, body))
        assert answer.status == 201
        assert answer.headers["x-ms-content-crc64"] == crc_text(body)
    document = "<BlockList>%s</BlockList>" % "".join(
        f"<Latest>{block_id}</Latest>" for block_id in reversed(ids)
    )

    listed = wire.ask(request("GET", "/box/x?comp=blocklist&blocklisttype=all")).body
    assert listed.index(b"<CommittedBlocks></CommittedBlocks>") > 0
    assert listed.count(b"<Block>") == 3
    headers = {"x-ms-blob-content-type": "text/plain", "x-ms-meta-a": "b"}
    data = request("PUT", "/box/x?comp=blocklist", headers, document.encode())
    assert wire.ask(data).status == 201

    answer = wire.ask(request("GET", "/box/x"))
    assert answer.body == b"three" + LARGE + b"one"
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-ms-meta-a"] == "b"
    listed = wire.ask(request("GET", "/box/x?comp=blocklist")).body
    assert listed.index(b"<Name>QUFD</Name><Size>5</Size>") < listed.index(b"<Name>QUFB</Name>")


def test_metadata_and_properties_are_replaced(wire: Wire) -> None:
    wire.ask(put_blob("/box/x", b"data", {"x-ms-meta-A": "1", "Content-Type": "a/b"}))

    wire.ask(request("PUT", "/box/x?comp=metadata", {"x-ms-meta-Bee": "2"}, b""))
    answer = wire.ask(request("GET", "/box/x?comp=metadata"))
    assert answer.headers["x-ms-meta-bee"] == "2"
    assert "x-ms-meta-a" not in answer.headers

    headers = {"x-ms-blob-cache-control": "no-store", "x-ms-blob-content-disposition": "inline"}
    assert wire.ask(request("PUT", "/box/x?comp=properties", headers, b"")).status == 200
    answer = wire.ask(request("HEAD", "/box/x"), head=True)
    assert answer.headers["content-length"] == "4"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"] == "inline"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-ms-meta-bee"] == "2"


def test_containers_live_and_die(wire: Wire) -> None:
    create = request("PUT", "/cargo?restype=container", {"x-ms-meta-Owner": "me"}, b"")
    assert wire.ask(create).status == 201
    assert wire.ask(create).code == "ContainerAlreadyExists"
    answer = wire.ask(request("HEAD", "/cargo?restype=container"), head=True)
    assert (answer.status, answer.headers["x-ms-meta-owner"]) == (200, "me")
    change = request("PUT", "/cargo?restype=container&comp=metadata", {"x-ms-meta-b": "c"}, b"")
    assert wire.ask(change).status == 200
    answer = wire.ask(request("GET", "/cargo?restype=container&comp=metadata"))
    assert answer.headers["x-ms-meta-b"] == "c"
    acl = wire.ask(request("GET", "/cargo?restype=container&comp=acl"))
    assert b"<SignedIdentifiers>" in acl.body
    listed = wire.ask(request("GET", "/?comp=list&include=metadata&prefix=car")).body
    assert b"<Name>cargo</Name>" in listed and b"<b>c</b>" in listed and b"box" not in listed
    assert wire.ask(request("DELETE", "/cargo?restype=container")).status == 202
    answer = wire.ask(request("GET", "/cargo?restype=container"))
    assert answer.code == "ContainerNotFound"
    public = {"x-ms-blob-public-access": "blob"}
    answer = wire.ask(request("PUT", "/cargo?restype=container", public, b""))
    assert answer.code == "PublicAccessNotPermitted"


def test_names_are_taken_as_they_are(wire: Wire) -> None:
    names = ["%C3%A4%20%26%3C%3E%22", "a/../b", "a//b", "+", "%2B%25", "trailing.", "a%2Fb"]
    for name in names:
        assert wire.ask(put_blob(f"/box/{name}", name.encode())).status == 201
    for name in names:
        assert wire.ask(request("GET", f"/box/{name}")).body == name.encode()

    listed = wire.ask(request("GET", "/box?restype=container&comp=list")).body.decode()

    for name in ('ä &amp;&lt;&gt;"', "a/../b", "a//b", "+%", "trailing.", "a/b"):
        assert f"<Name>{name}</Name>" in listed


def test_a_listing_is_paged_by_its_marker(wire: Wire) -> None:
    for number in range(7):
        wire.ask(put_blob(f"/box/n{number}", b""))
    names, marker = [], ""
    for _ in range(4):
        page = f"/box?restype=container&comp=list&maxresults=2&marker={marker}"
        body = wire.ask(request("GET", page)).body.decode()
        names += [part.split("<")[0] for part in body.split("<Name>")[1:]]
        marker = body.partition("<NextMarker>")[2].partition("<")[0].replace("=", "%3D")

    assert names == [f"n{number}" for number in range(7)]
    assert marker == ""
    answer = wire.ask(request("GET", "/box?restype=container&comp=list&startFrom=n5"))
    assert answer.body.count(b"<Name>") == 2


def test_deleting_only_snapshots_does_not_delete_the_blob(wire: Wire) -> None:
    wire.ask(put_blob("/box/x", b"data"))
    only = {"x-ms-delete-snapshots": "only"}

    assert wire.ask(request("DELETE", "/box/x", only)).code == "UnsupportedHeader"
    assert wire.ask(request("GET", "/box/x")).status == 200
    include = {"x-ms-delete-snapshots": "include"}
    assert wire.ask(request("DELETE", "/box/x", include)).status == 202
    assert wire.ask(request("DELETE", "/box/x")).code == "BlobNotFound"


def test_the_service_describes_itself(wire: Wire) -> None:
    answer = wire.ask(request("HEAD", "/?restype=account&comp=properties"), head=True)
    assert answer.headers["x-ms-account-kind"] == "StorageV2"
    answer = wire.ask(request("GET", "/?restype=service&comp=properties"))
    assert answer.body.startswith(b'<?xml version="1.0" encoding="utf-8"?><StorageService')


def test_an_empty_blob_is_a_blob(wire: Wire) -> None:
    assert wire.ask(put_blob("/box/x", b"")).status == 201

    assert wire.ask(request("GET", "/box/x")).body == b""
    assert wire.ask(request("GET", "/box/x", {"Range": "bytes=0-"})).code == "InvalidRange"


def test_every_request_is_counted_once(serving: Serving, wire: Wire) -> None:
    before = serving.on_loop(serving.recorder.totals)
    wire.ask(put_blob("/box/x", b"data"))
    wire.ask(put_blob("/box/x", LARGE))
    wire.ask(request("GET", "/box/x"))
    wire.ask(request("GET", "/box/none"))

    after = serving.on_loop(serving.recorder.totals)

    assert after["write"] - before["write"] == 2
    assert after["read"] - before["read"] == 2


def test_a_long_page_is_whole_and_in_order(wire: Wire) -> None:
    names = [f"{number % 7}/{number:04}" for number in range(450)]
    wire.send(b"".join(put_blob(f"/box/{name}", b"") for name in names))
    assert [wire.answer().status for _ in names] == [201] * len(names)

    def listed(query: str) -> list[str]:
        answer = wire.ask(request("GET", f"/box?restype=container&comp=list{query}"))
        return [part.split("<")[0] for part in answer.body.decode().split("<Name>")[1:]]

    assert listed("") == sorted(names)
    assert listed("&maxresults=431") == sorted(names)[:431]
    assert listed("&delimiter=%2F") == [f"{number}/" for number in range(7)]


def test_every_code_of_the_catalog_has_its_status_and_sentence() -> None:
    assert {code: TABLE[code][0] for code in STATUS} == STATUS
