"""A limit on an account: what passes, what is told to the rest, and what it counts as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_core.catalog.commands import SetAccountLimit
from storage_core.frontend.throttle import Throttle
from telemetry import names
from tests.storage_core.frontend.serving import Serving
from tests.storage_core.frontend.solo import ACCOUNT, Waiting, _ignore
from tests.storage_core.frontend.wire import Wire, put_blob, request


def limited(serving: Serving, requests_per_ks: int, account: str = ACCOUNT) -> None:
    """As an entry of the log would."""
    waiting = Waiting(SetAccountLimit(account, requests_per_ks), b"", 0, _ignore)
    serving.on_loop(lambda: serving.store._apply([waiting]))


@given(
    rate=st.integers(1, 5_000_000),
    gaps_ms=st.lists(st.integers(0, 3_000), min_size=1, max_size=60),
)
def test_no_window_holds_more_than_rate_and_burst(rate: int, gaps_ms: list[int]) -> None:
    throttle = Throttle({"a": rate})
    now_ms, taken_ms = 0, []
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        if throttle.admits("a", now_ms / 1000):
            taken_ms.append(now_ms)

    burst = max(1.0, rate / 1000)
    for first, start_ms in enumerate(taken_ms):
        for count, end_ms in enumerate(taken_ms[first:], start=1):
            assert count <= burst + (end_ms - start_ms) * rate / 1e6 + 1e-6


def test_a_limit_that_is_lifted_leaves_nothing_behind() -> None:
    limits = {"a": 1}
    throttle = Throttle(limits)
    assert throttle.admits("a", 0.0)
    assert not throttle.admits("a", 0.5)

    del limits["a"]
    assert throttle.admits("a", 0.5)
    limits["a"] = 1

    assert throttle.admits("a", 0.5), "a new limit begins with a full bucket"


def test_who_is_over_the_limit_is_told_so_in_the_service_s_own_words(serving: Serving) -> None:
    limited(serving, 500)
    with Wire(serving.port) as wire:
        assert wire.ask(put_blob("/box/x", b"1")).status == 201

        answer = wire.ask(put_blob("/box/x", b"2"))

        assert (answer.status, answer.headers["x-ms-error-code"]) == (503, "ServerBusy")
        assert answer.headers["retry-after"] == "2"
        assert b"is limited to 0.5 requests a second" in answer.body
        assert wire.ask(put_blob("/box/x", b"3")).status == 503, "the connection lives on"
        limited(serving, 0)
        assert wire.ask(request("GET", "/box/x")).body == b"1"


def test_a_bad_signature_takes_nothing_from_the_account(serving: Serving) -> None:
    limited(serving, 1)
    with Wire(serving.port) as wire:
        for _ in range(3):
            forged = request("GET", "/box/x").replace(
                b"SharedKey devstoreaccount1:", b"SharedKey devstoreaccount1:A"
            )
            assert wire.ask(forged).status == 403

        assert wire.ask(put_blob("/box/x", b"1")).status == 201


def test_another_account_is_not_held_back(serving: Serving) -> None:
    limited(serving, 1, account="team")
    with Wire(serving.port) as wire:
        for number in range(5):
            assert wire.ask(put_blob("/box/x", b"%d" % number)).status == 201


def test_what_a_limit_refuses_is_no_failure_of_ours(serving: Serving) -> None:
    limited(serving, 1)
    with Wire(serving.port) as wire:
        answers = [wire.ask(put_blob("/box/x", b"1")).status for _ in range(4)]
    assert answers == [201, 503, 503, 503]

    counted = {
        kind: sum(
            histogram.count
            for attributes, histogram in serving.recorder.metrics.histograms_of(
                names.REQUEST_DURATION
            )
            if attributes[names.KIND] == kind
        )
        for kind in (names.KIND_WRITE, names.KIND_THROTTLED, names.KIND_OTHER)
    }
    assert counted == {"write": 2, "throttled": 3, "other": 0}  # and the container before
    assert serving.recorder.totals()["failed"] == 0
    failed = serving.recorder.metrics.counters_of(names.REQUESTS_FAILED)
    assert [counter.value for _, counter in failed if counter.value] == []


@pytest.mark.parametrize("limit", [1, 500, 60_000])
def test_retry_after_is_a_whole_number_of_seconds_within_a_minute(limit: int) -> None:
    assert Throttle({"a": limit}).retry_after_s("a") in (1, 2, 60)
