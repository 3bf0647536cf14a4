"""Both indexes are ordered maps; what a crash leaves is a prefix of whole batches."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_core.errors import FatalDisk
from storage_core.index.memory import INSERT_RATIO, MemoryIndex
from storage_core.index.port import IndexPort, Row
from storage_core.index.rocks import RocksIndex

KINDS = ("memory", "rocks")

keys = st.binary(min_size=1, max_size=3) | st.sampled_from((b"\xff", b"\xff\xff", b"\x00"))
batches = st.lists(st.tuples(keys, st.none() | st.binary(max_size=4)), max_size=6)
scans = st.tuples(keys, keys, st.integers(1, 5))
steps = st.lists(batches | scans | st.just("flush"), max_size=12)


@contextmanager
def opened(kind: str) -> Iterator[IndexPort]:
    if kind == "memory":
        yield MemoryIndex()
        return
    with tempfile.TemporaryDirectory() as directory:
        index = RocksIndex(Path(directory) / "index")
        yield index
        index.close()


def scanned(model: dict[bytes, bytes], start: bytes, stop: bytes) -> list[tuple[bytes, bytes]]:
    return [(key, model[key]) for key in sorted(model) if start <= key < stop]


def written(model: dict[bytes, bytes], rows: list[Row]) -> None:
    for key, value in rows:
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(steps=steps)
def test_an_index_is_an_ordered_map(
    kind: str, steps: list[list[Row] | tuple[bytes, bytes, int] | str]
) -> None:
    model: dict[bytes, bytes] = {}
    with opened(kind) as index:
        for step in steps:
            if isinstance(step, str):
                index.flush()
            elif isinstance(step, tuple):
                start, stop, limit = step
                assert index.scan(start, stop, limit) == scanned(model, start, stop)[:limit]
            else:
                index.write(step)
                written(model, step)
            for key in model:
                assert index.get(key) == model[key]
        assert index.get(b"never") is None
        assert index.scan(b"", b"\xff" * 4, 1000) == scanned(model, b"", b"\xff" * 4)


@given(st.lists(batches | st.sampled_from(("flush", "scan", "crash")), max_size=12))
def test_the_twin_forgets_exactly_what_was_not_flushed(steps: list[list[Row] | str]) -> None:
    index = MemoryIndex()
    model: dict[bytes, bytes] = {}
    flushed: dict[bytes, bytes] = {}

    for step in steps:
        if step == "flush":
            index.flush()
            flushed = dict(model)
        elif step == "crash":
            index.crash()
            model = dict(flushed)
        elif step == "scan":
            assert index.scan(b"", b"\xff" * 4, 1000) == scanned(model, b"", b"\xff" * 4)
        else:
            assert not isinstance(step, str)
            index.write(step)
            written(model, step)

    assert index.scan(b"", b"\xff" * 4, 1000) == scanned(model, b"", b"\xff" * 4)


def test_the_twin_keeps_order_when_few_keys_join_many() -> None:
    index = MemoryIndex()
    count = INSERT_RATIO * 4
    index.write([(b"%05d" % (2 * number), b"even") for number in range(count)])
    index.scan(b"0", b"9", 1)
    index.write([(b"%05d" % 8, None), (b"%05d" % 7, b"odd")])
    index.write([(b"%05d" % 8, b"again")])

    found = index.scan(b"%05d" % 6, b"%05d" % 11, 10)

    assert found == [
        (b"00006", b"even"),
        (b"00007", b"odd"),
        (b"00008", b"again"),
        (b"00010", b"even"),
    ]


def test_a_second_owner_of_a_directory_is_refused(tmp_path: Path) -> None:
    first = RocksIndex(tmp_path / "index")

    with pytest.raises(FatalDisk, match="lock"):
        RocksIndex(tmp_path / "index")

    first.close()


def test_a_closed_index_reports_instead_of_answering(tmp_path: Path) -> None:
    index = RocksIndex(tmp_path / "index")
    index.close()

    for question in (
        lambda: index.get(b"a"),
        lambda: index.scan(b"a", b"b", 1),
        lambda: index.write([(b"a", b"b")]),
        index.flush,
    ):
        with pytest.raises(FatalDisk):
            question()


def test_what_was_flushed_is_there_when_opened_again(tmp_path: Path) -> None:
    index = RocksIndex(tmp_path / "index")
    index.write([(b"a", b"1"), (b"b", b"2")])
    index.write([(b"a", None)])
    index.flush()
    index.close()

    again = RocksIndex(tmp_path / "index")

    assert again.scan(b"", b"z", 9) == [(b"b", b"2")]
    again.close()
