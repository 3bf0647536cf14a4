"""Switches are leases: bounded, renewed by their owner, over by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from storage_core.fault_leases import (
    CPU_HOG,
    FSYNC_STALL,
    IN,
    ISOLATE,
    LEASES_MAX,
    LOOP_BLOCK,
    OUT,
    TTL_MS_MAX,
    Leases,
    checked,
)
from storage_core.orders import BadOrder, FaultState


def stalled(delay_ms: int = 300, *, owner: str = "drill", ttl_ms: int = 1000) -> Leases:
    leases = Leases()
    leases.renew(FSYNC_STALL, owner, {"delay_ms": delay_ms}, ttl_ms=ttl_ms, now_ms=0)
    return leases


def test_a_switch_ends_by_itself() -> None:
    leases = stalled(ttl_ms=1000)

    assert [leases.delay_ms(now_ms) for now_ms in (0, 999, 1000)] == [300, 300, 0]
    assert leases.states(1000) == ()


def test_the_same_owner_renews_and_changes_its_switch() -> None:
    leases = stalled(300, ttl_ms=1000)

    leases.renew(FSYNC_STALL, "drill", {"delay_ms": 50}, ttl_ms=1000, now_ms=900)

    assert leases.states(1800) == (FaultState(FSYNC_STALL, {"delay_ms": 50}, "drill", 100),)


def test_of_several_owners_the_strongest_counts_until_it_ends() -> None:
    leases = stalled(300, ttl_ms=1000)
    leases.renew(FSYNC_STALL, "other", {"delay_ms": 50}, ttl_ms=5000, now_ms=0)

    assert (leases.delay_ms(999), leases.delay_ms(1000)) == (300, 50)
    assert leases.next_end_ms() == 1000


def test_an_owner_ends_its_own_and_nobody_elses() -> None:
    leases = stalled(300)
    leases.renew(CPU_HOG, "other", {"share": 2.0}, ttl_ms=1000, now_ms=0)

    leases.clear("drill")

    assert (leases.delay_ms(1), leases.share(1)) == (0, 2.0)
    leases.clear(None)
    assert leases.states(1) == ()


def test_a_cut_has_directions_that_add_up() -> None:
    leases = Leases()
    leases.renew(ISOLATE, "a", {"peers": [1], "direction": "in"}, ttl_ms=100, now_ms=0)
    leases.renew(ISOLATE, "b", {"peers": [2], "direction": "both"}, ttl_ms=200, now_ms=0)

    assert (leases.cut(IN, 50), leases.cut(OUT, 50)) == (frozenset({1, 2}), frozenset({2}))
    assert (leases.cut(IN, 150), leases.cut(OUT, 150)) == (frozenset({2}), frozenset({2}))


def test_of_two_blocks_the_one_that_takes_more_of_the_loop_counts() -> None:
    leases = Leases()
    leases.renew(LOOP_BLOCK, "a", {"block_ms": 100, "every_ms": 1000}, ttl_ms=100, now_ms=0)
    leases.renew(LOOP_BLOCK, "b", {"block_ms": 50, "every_ms": 100}, ttl_ms=100, now_ms=0)

    assert (leases.block_ms(0), leases.block_ms(100)) == ((50, 100), (0, 0))


def test_the_number_of_switches_is_bounded() -> None:
    leases = Leases()
    for number in range(LEASES_MAX):
        leases.renew(CPU_HOG, f"owner {number}", {"share": 1.0}, ttl_ms=1000, now_ms=0)

    with pytest.raises(BadOrder, match="32 switches are on already"):
        leases.renew(CPU_HOG, "one more", {"share": 1.0}, ttl_ms=1000, now_ms=0)

    leases.renew(CPU_HOG, "owner 0", {"share": 1.0}, ttl_ms=TTL_MS_MAX, now_ms=0)
    leases.renew(CPU_HOG, "one more", {"share": 1.0}, ttl_ms=1000, now_ms=1000)


@pytest.mark.parametrize(
    ("kind", "params", "expected"),
    [
        (FSYNC_STALL, {"delay_ms": 1}, {"delay_ms": 1}),
        (ISOLATE, {"peers": [2, 1, 2]}, {"peers": [1, 2], "direction": "both"}),
        (CPU_HOG, {"share": 1}, {"share": 1.0}),
        (LOOP_BLOCK, {"block_ms": 5, "every_ms": 5}, {"block_ms": 5, "every_ms": 5}),
    ],
)
def test_good_parameters_are_completed(kind: str, params: Any, expected: Any) -> None:
    assert checked(kind, params) == expected


@pytest.mark.parametrize(
    ("kind", "params", "words"),
    [
        ("flood", {}, "kind: must be one of fsync-stall, isolate, cpu-hog, loop-block"),
        (FSYNC_STALL, [], "params: must be an object"),
        (FSYNC_STALL, {}, "delay_ms: must be a whole number from 1 to 5000"),
        (FSYNC_STALL, {"delay_ms": 5001}, "delay_ms: must be"),
        (FSYNC_STALL, {"delay_ms": True}, "delay_ms: must be"),
        (FSYNC_STALL, {"delay_ms": 5, "dealy": 1}, "params.dealy: fsync-stall takes delay_ms"),
        (ISOLATE, {"peers": []}, "peers: must be 1 to 9 numbers of nodes"),
        (ISOLATE, {"peers": "12"}, "peers: must be"),
        (ISOLATE, {"peers": [1.0]}, "peers: must be"),
        (ISOLATE, {"peers": [1], "direction": "up"}, "direction: must be one of both, in, out"),
        (CPU_HOG, {"share": 0}, "share: must be a number from 0.05 to 8"),
        (CPU_HOG, {"share": float("nan")}, "share: must be"),
        (LOOP_BLOCK, {"block_ms": 50, "every_ms": 49}, "every_ms: must be .* from 50"),
        (LOOP_BLOCK, {"block_ms": 2001, "every_ms": 9000}, "block_ms: must be"),
    ],
)
def test_what_is_out_of_bounds_is_named(kind: str, params: Any, words: str) -> None:
    with pytest.raises(BadOrder, match=words):
        checked(kind, params)
