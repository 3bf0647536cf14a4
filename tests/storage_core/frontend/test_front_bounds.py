"""Bounds: what a slow, greedy or silent client can take of us, and for how long."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from storage_core.frontend.limits import KIB, MIB, Limits
from tests.storage_core.frontend.serving import Serving
from tests.storage_core.frontend.wire import Wire, put_blob, request

LARGE = bytes(range(256)) * 4 * KIB


def test_pipelined_requests_wait_outside_while_one_is_held(serving: Serving, wire: Wire) -> None:
    serving.on_loop(lambda: setattr(serving.store, "held", True))
    one = put_blob("/box/x", b"a" * 64 * KIB)

    taken = wire.send_some(one * 400, 0.3)

    assert taken < len(one) * 400, "the client is made to wait"
    assert serving.on_loop(lambda: serving.front.budget.taken_bytes) < MIB
    serving.on_loop(serving.store.release)
    assert wire.answer().status == 201


def test_an_unread_answer_makes_us_wait(serving: Serving, wire: Wire) -> None:
    wire.ask(put_blob("/box/x", LARGE * 32))
    wire.send(request("GET", "/box/x"))

    serving.until(lambda: any(c._drained is not None for c in serving.front.connections))
    assert wire.answer().body == LARGE * 32


def test_a_slow_head_is_told_and_cut(make_serving: Callable[[Limits], Serving]) -> None:
    serving = make_serving(Limits(header_s=0.2))
    with Wire(serving.port) as wire:
        wire.send(b"GET / HTTP/1.1\r\nA: ")
        answer = wire.answer()

        assert (answer.status, answer.code) == (408, "OperationTimedOut")
        assert b"0.2 s" in answer.body
        wire.half_close()
        assert wire.is_closed


@pytest.mark.parametrize("body", [b"small", LARGE])
def test_a_slow_body_is_told_and_stores_nothing(
    make_serving: Callable[[Limits], Serving], body: bytes
) -> None:
    serving = make_serving(Limits(body_idle_s=0.2))
    with Wire(serving.port) as wire:
        wire.send(put_blob("/box/x", body)[:-1])
        answer = wire.answer()

        assert (answer.status, answer.code) == (408, "OperationTimedOut")
    serving.until(lambda: serving.store.stored_bytes() == 0)
    serving.until(lambda: serving.front.budget.taken_bytes == 0)


def test_a_waiting_client_is_not_called_slow(make_serving: Callable[[Limits], Serving]) -> None:
    serving = make_serving(Limits(body_idle_s=0.1, header_s=0.1))
    with Wire(serving.port) as wire:
        serving.on_loop(lambda: setattr(serving.store, "held", True))
        wire.send(put_blob("/box/x", b"data"))
        swept = serving.on_loop(lambda: serving.front.now_s)
        serving.until(lambda: serving.front.now_s > swept + 0.3)
        serving.on_loop(serving.store.release)

        assert wire.answer().status == 201


def test_an_idle_connection_is_closed_in_the_end(make_serving: Callable[[Limits], Serving]) -> None:
    serving = make_serving(Limits(keep_alive_s=0.2, header_s=0.2))
    with Wire(serving.port) as wire:
        assert wire.ask(request("GET", "/?comp=list")).status == 200
        assert wire.is_closed


def test_an_upload_holds_no_more_than_its_window(serving: Serving, wire: Wire) -> None:
    serving.on_loop(lambda: setattr(serving.store, "held", True))
    data = put_blob("/box/x", LARGE * 24)

    taken = wire.send_some(data, 0.3)

    assert taken < len(data)
    assert serving.on_loop(lambda: serving.front.budget.taken_bytes) <= 2 * MIB
    serving.on_loop(serving.store.release)
    assert wire.ask(data[taken:]).status == 201
    assert wire.ask(request("GET", "/box/x")).body == LARGE * 24
    assert serving.on_loop(lambda: serving.front.budget.taken_bytes) == 0


def test_all_uploads_together_hold_no_more_than_their_bound(
    make_serving: Callable[[Limits], Serving],
) -> None:
    serving = make_serving(Limits(unreplicated_bytes_max=3 * MIB))
    serving.on_loop(lambda: setattr(serving.store, "held", True))
    wires = [Wire(serving.port) for _ in range(6)]
    data = [put_blob(f"/box/{number}", LARGE * 4) for number in range(6)]

    taken = [wire.send_some(part, 0.1) for wire, part in zip(wires, data, strict=True)]

    held = serving.on_loop(lambda: serving.front.budget.taken_bytes)
    assert held <= 3 * MIB + 6 * 256 * KIB, "one read more for each at most"
    serving.on_loop(serving.store.release)
    for wire, part, sent in zip(wires, data, taken, strict=True):
        wire.send(part[sent:])
    assert [wire.answer().status for wire in wires] == [201] * 6
    assert serving.on_loop(lambda: serving.front.budget.taken_bytes) == 0
    for wire in wires:
        wire.close()


def test_a_refused_small_body_is_swallowed_and_a_huge_one_is_not(
    serving: Serving, wire: Wire
) -> None:
    assert wire.ask(put_blob("/box/x", LARGE[: 512 * KIB], key=b"?")).status == 403
    answer = wire.ask(put_blob("/box/x", b"", {"Content-Length": str(64 * MIB)}, key=b"?"))

    assert (answer.status, answer.headers["connection"]) == (403, "close")


def test_a_client_that_leaves_a_queue_behind_leaves_nothing(serving: Serving, wire: Wire) -> None:
    serving.on_loop(lambda: setattr(serving.store, "held", True))
    whole = put_blob("/box/x", b"a" * 20 * KIB)
    wire.send(whole * 3 + whole[:-1])
    serving.until(lambda: len(serving.store.waiting) == 1)

    wire.reset()
    serving.on_loop(serving.store.release)

    serving.until(lambda: not serving.front.connections)
    assert serving.on_loop(lambda: serving.front.budget.taken_bytes) == 0


def test_a_client_that_asks_and_never_reads_is_asked_to_wait(serving: Serving, wire: Wire) -> None:
    wire.ask(put_blob("/box/x", LARGE[: 256 * KIB]))
    one = request("GET", "/box/x")

    wire.send_some(one * 1000, 0.2)

    (connection,) = serving.front.connections
    transport = connection._transport
    assert transport is not None
    assert serving.on_loop(transport.get_write_buffer_size) < 2 * MIB
    for _ in range(10):
        assert wire.answer().body == LARGE[: 256 * KIB]


def test_a_reader_that_takes_nothing_is_cut_off(make_serving: Callable[[Limits], Serving]) -> None:
    serving = make_serving(Limits(write_idle_s=0.3, header_s=0.4))
    with Wire(serving.port) as wire:
        wire.ask(put_blob("/box/x", LARGE * 32))
        wire.send(request("GET", "/box/x"))

        serving.until(lambda: not serving.front.connections)
