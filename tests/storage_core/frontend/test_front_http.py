"""HTTP on one connection: order, framing, farewells; and no neighbour is ever hurt."""

from __future__ import annotations

import random

import pytest

from storage_core.errors import Unavailable
from storage_core.frontend.limits import KIB, MIB
from tests.storage_core.frontend.serving import Serving
from tests.storage_core.frontend.wire import Wire, md5_text, put_blob, raw, request

LARGE = bytes(range(256)) * 4 * KIB


def chunked(pieces: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def chunked_put(name: str, body: bytes) -> bytes:
    headers = {"x-ms-blob-type": "BlockBlob", "Transfer-Encoding": "chunked"}
    return request("PUT", name, headers) + body


@pytest.mark.parametrize(
    "data",
    [
        raw("PUT", "/a/b/c", {"Content-Length": "3", "Transfer-Encoding": "chunked"}, b"abc"),
        raw("PUT", "/a/b/c", {"Transfer-Encoding": "chunked", "Content-Length": "3"}, b"abc"),
        raw("PUT", "/a/b/c", {"Content-Length": "3", "content-length": "3"}, b"abc"),
        raw("PUT", "/a/b/c", {"Content-Length": "+3"}, b"abc"),
        raw("PUT", "/a/b/c", {"Content-Length": "3, 3"}, b"abc"),
        raw("PUT", "/a/b/c", {"Content-Length": "99999999999999999999"}, b""),
        raw("PUT", "/a/b/c", {"Transfer-Encoding": "gzip, chunked"}, b"0\r\n\r\n"),
        raw("PUT", "/a/b/c", {"Transfer-Encoding": "gzip"}, b""),
        raw("PUT", "/a/b/c", {"Transfer-Encoding": "chunked, identity"}, b""),
        raw("GET", "/a/b/c", {"Authorization": "a", "authorization": "b"}),
        raw("GET", "/a/b/c", {"Range": "bytes=0-1", "range": "bytes=2-3"}),
        b"GET /a/b/c HTTP/1.1\nHost: a\n\n",
        b"GET /a/b/c HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /a/b/c HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        b"GET /a/b/c HTTP/1.1\r\nA: b\x00c\r\n\r\n",
        b"GET /a/b c HTTP/1.1\r\n\r\n",
        b"BREW /a/b/c HTTP/1.1\r\n\r\n",
        b"CONNECT h:1 HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        raw("PUT", "/a/b/c", {"Connection": "upgrade", "Upgrade": "h2c", "Content-Length": "1"}),
    ],
)
def test_what_two_readers_could_read_differently_ends_the_connection(
    serving: Serving, data: bytes
) -> None:
    with Wire(serving.port) as wire:
        wire.send(data + request("GET", "/?comp=list"))
        answer = wire.answer()
        assert (answer.status, answer.code) == (400, "InvalidInput")
        assert answer.headers["connection"] == "close"
        wire.half_close()
        assert wire.is_closed, "the smuggled request must not be answered"
    assert serving.store.stored_bytes() == 0


@pytest.mark.parametrize(
    "body", [b"zz\r\nabc\r\n0\r\n\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"3\nabc\n0\n\n", b"-1\r\n\r\n"]
)
def test_malformed_chunking_is_refused_and_nothing_stored(
    serving: Serving, wire: Wire, body: bytes
) -> None:
    answer = wire.ask(chunked_put("/box/x", body))

    assert (answer.status, answer.code) == (400, "InvalidInput")
    assert answer.headers["connection"] == "close"
    assert wire.is_closed
    serving.until(lambda: serving.store.stored_bytes() == 0)


def test_a_late_chunking_error_leaves_no_chunk_behind(serving: Serving, wire: Wire) -> None:
    wire.send(chunked_put("/box/x", chunked([LARGE])[:-5]))
    serving.until(lambda: serving.store.stored_bytes() > 0)

    answer = wire.ask(b"oops\r\n")

    assert (answer.status, answer.code) == (400, "InvalidInput")
    serving.until(lambda: serving.store.stored_bytes() == 0)


@pytest.mark.parametrize("pieces", [[], [b"abc"], [b"a" * 1000] * 300, [LARGE, b"tail"]])
def test_a_chunked_body_is_stored(wire: Wire, pieces: list[bytes]) -> None:
    assert wire.ask(chunked_put("/box/x", chunked(pieces))).status == 201

    assert wire.ask(request("GET", "/box/x")).body == b"".join(pieces)


@pytest.mark.parametrize("step", [1, 7, 100])
def test_a_request_may_come_in_any_pieces(wire: Wire, step: int) -> None:
    data = put_blob("/box/x", b"some data", {"x-ms-meta-Name": "value"})
    for at in range(0, len(data), step):
        wire.send(data[at : at + step])

    assert wire.answer().status == 201
    answer = wire.ask(request("GET", "/box/x"))
    assert answer.body == b"some data"
    assert answer.headers["x-ms-meta-name"] == "value"


@pytest.mark.parametrize("size", [65 * KIB, MIB])
def test_a_head_over_its_limit_is_refused(serving: Serving, size: int) -> None:
    data = request("GET", "/?comp=list", {"x-ms-meta-a": "b" * size})
    with Wire(serving.port) as wire:
        wire.send_some(data, 0.5)
        answer = wire.answer()
        assert (answer.status, answer.code) == (431, "InvalidInput")
        assert answer.headers["connection"] == "close"


def test_a_head_just_under_its_limit_is_read(wire: Wire) -> None:
    data = request("GET", "/?comp=list", {"x-other": "b" * (63 * KIB)})

    assert wire.ask(data).status == 200


def test_too_many_headers_are_refused(wire: Wire) -> None:
    data = request("GET", "/?comp=list", {f"x-{number}": "a" for number in range(300)})

    assert wire.ask(data).status == 431


def test_trailers_are_bounded(serving: Serving, wire: Wire) -> None:
    trailers = b"".join(b"t-%d: a\r\n" % number for number in range(300))
    answer = wire.ask(chunked_put("/box/x", b"0\r\n" + trailers + b"\r\n"))

    assert answer.status == 400
    assert serving.store.stored_bytes() == 0


def test_pipelined_requests_are_answered_in_order(serving: Serving, wire: Wire) -> None:
    wire.send(
        b"".join(put_blob(f"/box/{n}", b"%d" % n) for n in range(20))
        + request("GET", "/box/none")
        + b"".join(request("GET", f"/box/{n}") for n in range(20))
        + put_blob("/box/big", LARGE)
        + request("GET", "/box/big")
    )

    assert [wire.answer().status for _ in range(20)] == [201] * 20
    assert wire.answer().status == 404
    assert [wire.answer().body for _ in range(20)] == [b"%d" % n for n in range(20)]
    assert wire.answer().status == 201
    assert wire.answer().body == LARGE


def test_expect_is_answered_before_the_body_comes(wire: Wire) -> None:
    for body in (b"small", LARGE):
        data = put_blob("/box/x", body, {"Expect": "100-continue"})
        assert wire.ask(data[: -len(body)]).status == 100
        assert wire.ask(body).status == 201
    assert wire.ask(request("GET", "/box/x")).body == LARGE


def test_an_unknown_expectation_is_refused(wire: Wire) -> None:
    answer = wire.ask(put_blob("/box/x", b"data", {"Expect": "coffee"})[:-4])

    assert (answer.status, answer.code) == (417, "InvalidHeaderValue")
    assert wire.is_closed


def test_http_1_0_is_answered_and_closed(serving: Serving, wire: Wire) -> None:
    answer = wire.ask(request("GET", "/?comp=list").replace(b"HTTP/1.1", b"HTTP/1.0"))

    assert answer.status == 200
    assert wire.is_closed


def test_an_absolute_target_is_understood(wire: Wire) -> None:
    data = request("GET", "/?comp=list").replace(b"GET /", b"GET http://127.0.0.1/", 1)

    assert wire.ask(data).status == 200


def test_an_upgrade_without_a_body_is_answered_and_closed(wire: Wire) -> None:
    headers = {"Connection": "upgrade", "Upgrade": "h2c"}

    assert wire.ask(request("GET", "/?comp=list", headers)).status == 200
    assert wire.is_closed


def test_a_leaving_node_says_so_and_closes(serving: Serving, wire: Wire) -> None:
    assert "connection" not in wire.ask(request("GET", "/?comp=list")).headers

    serving.is_leaving = True
    answer = wire.ask(request("GET", "/?comp=list"))

    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert wire.is_closed


def test_half_a_close_still_gets_its_answers(wire: Wire) -> None:
    wire.send(put_blob("/box/x", b"data") + request("GET", "/box/x"))
    wire.half_close()

    assert wire.answer().status == 201
    assert wire.answer().body == b"data"
    assert wire.is_closed


def test_a_refused_client_that_sends_on_still_reads_the_refusal(
    serving: Serving, wire: Wire
) -> None:
    data = put_blob("/box/x", LARGE * 24, key=b"?")

    wire.send_some(data, 0.2)

    assert wire.answer().status == 403


def test_the_store_s_refusal_reaches_the_client(serving: Serving, wire: Wire) -> None:
    serving.on_loop(lambda: setattr(serving.store, "error", Unavailable("no quorum", "unknown")))

    answer = wire.ask(put_blob("/box/x", b"data"))

    assert (answer.status, answer.code) == (503, "ServerBusy")
    assert b"<Outcome>unknown</Outcome>" in answer.body
    assert answer.headers["retry-after"] == "1"
    assert wire.ask(put_blob("/box/x", LARGE)).status == 503


def test_our_own_fault_hurts_no_neighbour_and_tells_nothing(
    serving: Serving, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret")

    with Wire(serving.port) as neighbour:
        assert neighbour.ask(request("GET", "/?comp=list")).status == 200
        monkeypatch.setattr(serving.store, "submit_then", fail)
        answer = wire.ask(put_blob("/box/x", b"data"))
        monkeypatch.undo()

        assert (answer.status, answer.code) == (500, "InternalError")
        assert b"secret" not in answer.body
        assert neighbour.ask(put_blob("/box/x", b"data")).status == 201


def test_a_drain_finishes_what_was_asked(serving: Serving, wire: Wire) -> None:
    serving.on_loop(lambda: setattr(serving.store, "held", True))
    wire.send(put_blob("/box/x", b"data"))
    serving.until(lambda: len(serving.store.waiting) == 1)
    with Wire(serving.port) as idle:
        serving.until(lambda: len(serving.front.connections) == 2)
        draining = serving.begin(serving.front.drain(5))
        assert idle.is_closed
    serving.on_loop(serving.store.release)

    answer = wire.answer()

    assert (answer.status, answer.headers["connection"]) == (201, "close")
    assert wire.is_closed
    draining.result(5)


def test_a_broken_request_waits_for_its_turn_to_be_told(serving: Serving, wire: Wire) -> None:
    serving.on_loop(lambda: setattr(serving.store, "held", True))
    wire.send(put_blob("/box/x", b"data") + chunked_put("/box/y", b"zz\r\n"))
    serving.until(lambda: len(serving.store.waiting) == 1)
    serving.on_loop(serving.store.release)

    assert wire.answer().status == 201
    assert wire.answer().code == "InvalidInput"
    assert wire.is_closed


@pytest.mark.parametrize("seed", range(4))
def test_no_damage_to_a_request_is_our_fault(serving: Serving, wire: Wire, seed: int) -> None:
    rng = random.Random(seed)
    originals = [
        put_blob("/box/x", b"data", {"x-ms-meta-a": "b", "Content-MD5": md5_text(b"data")}),
        request("GET", "/box/x?timeout=5", {"x-ms-range": "bytes=0-1", "If-Match": "*"}),
        chunked_put("/box/x", chunked([b"abc", b"defg"])),
    ]
    for _ in range(60):
        data = bytearray(rng.choice(originals))
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
        with Wire(serving.port) as other:
            other.send(bytes(data))
            other.half_close()
            try:
                answer = other.answer()
            except EOFError:
                continue
            assert answer.status != 500, (bytes(data), answer)
            assert answer.status < 400 or answer.code, answer

    assert wire.ask(put_blob("/box/x", b"data")).status == 201
    serving.until(lambda: serving.front.budget.taken_bytes == 0)
