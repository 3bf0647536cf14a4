"""What a small request costs in calls, Python's and C's: the same figure on any machine.

CPU time is what we care for, and on a machine that others use it says nothing: the same code was
seen to take 3.7 times as long. Calls are what it is made of and can be counted. bench/budget.toml
says how many there may be.
"""

from __future__ import annotations

import statistics
import sys
import tomllib
from itertools import pairwise
from types import FrameType

import pytest

from bench.cluster import ROOT
from tests.storage_core.frontend.serving import Serving
from tests.storage_core.frontend.wire import Wire, put_blob, request

COUNT = 40
BODY = b"\x5a" * 4096


class Calls:
    """Counts the calls of the thread it is installed in."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "c_call"):
            self.count += 1


@pytest.mark.parametrize("what", ["put", "get"])
def test_a_small_request_takes_few_calls(serving: Serving, wire: Wire, what: str) -> None:
    with (ROOT / "bench" / "budget.toml").open("rb") as file:
        most = tomllib.load(file)["calls_in_front_end"][f"per_{what}"]
    data = put_blob("/box/hot", BODY)
    expected = 201
    wire.ask(data)
    if what == "get":
        data, expected = request("GET", "/box/hot"), 200
    assert wire.ask(data).status == expected
    calls = Calls()

    serving.on_loop(lambda: sys.setprofile(calls))
    counts = [calls.count]
    for _ in range(COUNT):
        assert wire.ask(data).status == expected
        counts.append(calls.count)
    serving.on_loop(lambda: sys.setprofile(None))

    # The median: once in a while the sweep over all connections runs in between.
    each = statistics.median(after - before for before, after in pairwise(counts))
    assert 0.5 * most <= each <= most, (what, each)
