"""The cache of bodies is bounded by what it really takes, and keeps what was used last."""

from __future__ import annotations

import sys

from storage_core.cache.bodies import BODY_BYTES_MAX, ENTRY_BYTES, BodyCache


def test_the_least_recently_used_body_goes_first() -> None:
    cache = BodyCache(3 * (1000 + ENTRY_BYTES))
    for offset in range(3):
        cache.put(1, offset, bytes(1000))
    assert cache.get(1, 0) is not None

    cache.put(2, 0, bytes(1000))

    assert [cache.get(1, offset) is None for offset in range(3)] == [False, True, False]
    assert cache.get(2, 0) is not None


def test_a_place_is_told_by_segment_and_offset() -> None:
    cache = BodyCache()
    cache.put(1, (1 << 32) - 8, b"here")

    assert cache.get(1, (1 << 32) - 8) == b"here"
    assert cache.get(2, (1 << 32) - 8) is None
    assert cache.get(1, 0) is None


def test_large_and_empty_bodies_are_not_kept() -> None:
    cache = BodyCache()
    cache.put(1, 0, b"")
    cache.put(1, 8, bytes(BODY_BYTES_MAX + 1))
    cache.put(1, 16, bytes(BODY_BYTES_MAX))

    assert cache.size_bytes == BODY_BYTES_MAX + ENTRY_BYTES


def test_tiny_bodies_are_counted_with_what_keeping_them_takes() -> None:
    bound = 1_000_000
    cache = BodyCache(bound)
    for offset in range(20_000):
        cache.put(0, offset * 8, offset.to_bytes(4, "little"))

    kept = [offset for offset in range(20_000) if cache.get(0, offset * 8) is not None]
    assert cache.size_bytes <= bound
    real = sum(sys.getsizeof(offset.to_bytes(4, "little")) + 32 for offset in kept)
    assert real + sys.getsizeof(dict.fromkeys(kept)) <= 1.2 * bound
    assert kept[-1] == 19_999


def test_a_smaller_bound_lets_the_oldest_go_at_once_and_none_keeps_nothing() -> None:
    cache = BodyCache()
    for offset in range(4):
        cache.put(0, offset, b"x" * 800)

    cache.resize(2 * (800 + ENTRY_BYTES))

    assert [cache.get(0, offset) is not None for offset in range(4)] == [False, False, True, True]
    cache.resize(0)
    cache.put(0, 9, b"x")
    assert cache.size_bytes == 0
