"""Exactly once, atomic, equal after a crash; and what is too large goes in bounded steps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from storage_core.catalog import keys, stages
from storage_core.catalog.batch import Batch
from storage_core.catalog.blob_row import PAGE_EXTENTS
from storage_core.catalog.commands import (
    ENTRY_ROWS_MAX,
    LATEST,
    UNCOMMITTED_EXPIRY_MS,
    UPLOAD_EXPIRY_MS,
    BlockChoice,
    Chunk,
    CreateContainer,
    DeleteBlob,
    DeleteContainer,
    Move,
    PutBlob,
    PutBlock,
    PutBlockList,
    SetBlobMetadata,
)
from storage_core.catalog.layouts import PAGES_DROPPED_AT_ONCE
from storage_core.catalog.machine import Catalog
from storage_core.index.memory import MemoryIndex
from storage_core.index.port import Row
from tests.storage_core.catalog.driving import (
    ACCOUNT,
    CONTAINER,
    Driver,
    all_rows,
    recount,
    with_container,
)

UPLOAD = b"u" * 16
# What an entry writes besides: the live bytes of the segments it touched, here very small ones.
SEGMENT_ROWS = 250
ROOT = Path(__file__).parents[3]


def upload(driver: Driver, name: str, count: int, block_id: bytes = b"") -> None:
    """`count` chunks of three bytes become a blob, or a block of one."""
    for sequence in range(count):
        driver.append(
            Chunk(UPLOAD, sequence, ACCOUNT, CONTAINER, name, block_id), b"%03d" % (sequence % 999)
        )
    if block_id:
        driver.append(PutBlock(ACCOUNT, CONTAINER, name, block_id, 3 * count, UPLOAD, count))
    else:
        driver.append(
            PutBlob(ACCOUNT, CONTAINER, name, 3 * count, upload_id=UPLOAD, chunk_count=count)
        )
    assert {outcome.code for outcome in driver.settle()} == {""}


def test_a_repeated_operation_gets_the_first_answer_and_has_no_effect() -> None:
    driver = with_container()
    first = driver.do(PutBlob(ACCOUNT, CONTAINER, "a", 3), b"one", b"o" * 16)
    driver.do(PutBlob(ACCOUNT, CONTAINER, "a", 3), b"two")

    again = driver.do(PutBlob(ACCOUNT, CONTAINER, "a", 3), b"one", b"o" * 16)

    assert again == first
    assert driver.read(CONTAINER, "a") == b"two"


def test_a_refusal_is_remembered_as_well() -> None:
    driver = with_container()
    first = driver.do(DeleteBlob(ACCOUNT, CONTAINER, "a"), op_id=b"o" * 16)
    driver.do(PutBlob(ACCOUNT, CONTAINER, "a", 3), b"one")

    assert driver.do(DeleteBlob(ACCOUNT, CONTAINER, "a"), op_id=b"o" * 16) == first
    assert driver.read(CONTAINER, "a") == b"one"


def test_a_repeat_is_known_within_one_batch_and_after_a_restart() -> None:
    driver = with_container()
    for _ in range(2):
        driver.append(CreateContainer(ACCOUNT, "new"), op_id=b"o" * 16)
    first, again = driver.settle()
    driver.reopen()

    assert first.code == "" and again == first
    assert driver.do(CreateContainer(ACCOUNT, "new"), op_id=b"o" * 16) == first


def test_operations_are_remembered_for_as_many_entries_as_promised() -> None:
    driver = with_container(remembered_count=8)
    driver.do(CreateContainer(ACCOUNT, "new"), op_id=b"o" * 16)
    for _ in range(7):
        driver.do(DeleteBlob(ACCOUNT, CONTAINER, "none"))
    assert driver.do(CreateContainer(ACCOUNT, "new"), op_id=b"o" * 16).code == ""

    for _ in range(8):
        driver.do(DeleteBlob(ACCOUNT, CONTAINER, "none"))

    outcome = driver.do(CreateContainer(ACCOUNT, "new"), op_id=b"o" * 16)
    assert outcome.code == "ContainerAlreadyExists"
    operations = [key for key in all_rows(driver.index) if key[:1] == keys.OPERATION]
    assert len(operations) == 8


def test_an_entry_without_an_operation_id_is_not_remembered() -> None:
    driver = with_container()

    codes = [driver.do(CreateContainer(ACCOUNT, "new"), op_id=bytes(16)).code for _ in range(2)]

    assert codes == ["", "ContainerAlreadyExists"]


def test_a_noop_moves_the_applied_point_only() -> None:
    driver = with_container()
    before = all_rows(driver.index)
    driver.append(None)

    assert [outcome.code for outcome in driver.settle()] == [""]

    after = all_rows(driver.index)
    assert driver.catalog.applied() == driver.ends[-1]
    assert {key for key in after if after[key] != before.get(key)} == {keys.APPLIED}


class OneWrite(MemoryIndex):
    """Counts the writes that `apply` makes."""

    count = 0
    rows_max = 0

    def write(self, rows: Sequence[Row]) -> None:
        self.count += 1
        self.rows_max = max(self.rows_max, len(rows))
        super().write(rows)


def test_a_batch_is_one_write() -> None:
    index = OneWrite()
    driver = Driver(index)
    for name in ("one", "two", "three"):
        driver.append(CreateContainer(ACCOUNT, name))

    driver.settle()

    assert index.count == 1


def test_a_batch_sees_its_own_rows_in_place_of_the_index() -> None:
    index = MemoryIndex()
    index.write([(b"%d" % number, b"old") for number in range(6)])
    batch = Batch(index, {})
    batch.delete(b"0")
    batch.delete(b"1")
    batch.put(b"2", b"new")
    batch.put(b"25", b"new")

    assert batch.scan(b"0", b"9", 3) == [(b"2", b"new"), (b"25", b"new"), (b"3", b"old")]
    assert batch.scan(b"3", b"9", 2) == [(b"3", b"old"), (b"4", b"old")]
    assert (batch.get(b"0"), batch.get(b"2"), batch.get(b"3")) == (None, b"new", b"old")


def test_entries_are_applied_in_order_and_once() -> None:
    driver = with_container()
    item = driver.log[-1]

    with pytest.raises(AssertionError):
        driver.catalog.apply([item], driver.ends[-1])


def test_evaluating_leaves_no_trace() -> None:
    driver = with_container()
    driver.do(PutBlob(ACCOUNT, CONTAINER, "a", 3), b"one")
    before = all_rows(driver.index), driver.catalog.segments()

    assert driver.catalog.evaluate(DeleteContainer(ACCOUNT, CONTAINER)) == ""
    assert driver.catalog.evaluate(DeleteBlob(ACCOUNT, CONTAINER, "a")) == ""

    assert (all_rows(driver.index), driver.catalog.segments()) == before
    assert driver.catalog.evaluate(DeleteBlob(ACCOUNT, CONTAINER, "a")) == ""


def test_a_large_blob_is_read_by_its_pages() -> None:
    driver = with_container()
    count = 2 * PAGE_EXTENTS + 5
    upload(driver, "big", count)
    content = b"".join([b"%03d" % (number % 999) for number in range(count)])

    row = driver.view.blob(ACCOUNT, CONTAINER, "big")

    assert row is not None and row.page_count == 3
    assert driver.read(CONTAINER, "big") == content
    for start in (0, 3 * PAGE_EXTENTS - 1, 3 * PAGE_EXTENTS, 6 * PAGE_EXTENTS - 2, row.size - 1):
        read = b""
        for piece in row.pieces(start, 7):
            body = driver.bodies[piece.extent.segment_seq, piece.extent.offset]
            read += body[piece.skip : piece.skip + piece.length]
        assert read == content[start : start + 7]


def test_describing_a_large_blob_leaves_its_pages_alone() -> None:
    driver = with_container()
    upload(driver, "big", 3000)
    pages = [key for key in all_rows(driver.index) if key[:1] == keys.EXTENT_PAGE]

    driver.do(SetBlobMetadata(ACCOUNT, CONTAINER, "big", (("k", "v"),)))

    assert pages == [key for key in all_rows(driver.index) if key[:1] == keys.EXTENT_PAGE]
    assert driver.catalog.segments() == recount(driver.index)
    driver.do(DeleteBlob(ACCOUNT, CONTAINER, "big"))
    assert driver.catalog.segments() == {} and driver.tidy() == 0


@pytest.mark.parametrize("count", [3, 3000])
def test_a_body_is_moved_wherever_it_is_named(count: int) -> None:
    driver = with_container()
    upload(driver, "a", count, b"1")
    chunk = driver.log[2][0]
    old = driver.extent_of(chunk.index)

    move = driver.catalog.is_live(chunk.meta, old)
    assert move is not None and move.upload_id == UPLOAD and move.block_id == b"1"
    driver.do(move, chunk.body)
    driver.do(PutBlockList(ACCOUNT, CONTAINER, "a", (BlockChoice(b"1", LATEST),) * 2))
    before = driver.read(CONTAINER, "a")
    moved_index = len(driver.log) - 1
    moved = driver.extent_of(moved_index)
    # Fill a segment, so that the next copy lies in another one.
    driver.do(PutBlob(ACCOUNT, CONTAINER, "filler", 1500), bytes(1500))
    again = driver.catalog.is_live(driver.log[moved_index - 1][0].meta, moved)
    assert again is not None
    driver.do(again, chunk.body)

    row = driver.view.blob(ACCOUNT, CONTAINER, "a")
    assert row is not None and driver.read(CONTAINER, "a") == before
    newest = driver.extent_of(len(driver.log))
    assert [at for at, extent in enumerate(row.extents) if extent == newest] == [0, count]
    assert driver.catalog.is_live(chunk.meta, old) is None
    assert driver.catalog.segments() == recount(driver.index)


def test_a_move_that_comes_too_late_has_no_effect() -> None:
    driver = with_container()
    driver.do(PutBlob(ACCOUNT, CONTAINER, "a", 3), b"one")
    move = driver.catalog.is_live(driver.log[-1][0].meta, driver.extent_of(3))
    assert move is not None
    driver.do(PutBlob(ACCOUNT, CONTAINER, "a", 3), b"two")

    assert driver.do(move, b"one").code == ""

    assert driver.read(CONTAINER, "a") == b"two"
    assert sum(driver.catalog.segments().values()) == 3


def test_a_move_of_other_bytes_is_refused() -> None:
    driver = with_container()
    driver.do(PutBlob(ACCOUNT, CONTAINER, "a", 3), b"one")
    move = Move(ACCOUNT, CONTAINER, "a", b"", b"", driver.extent_of(3))

    assert driver.do(move, b"two").code == "InvalidBlobOrBlock"
    assert driver.read(CONTAINER, "a") == b"one"


def test_many_waiting_blocks_go_in_steps_and_never_come_back() -> None:
    index = OneWrite()
    driver = with_container()
    driver.index, driver.catalog = index, Catalog(index, remembered_count=64)
    driver.settle()
    count = stages.BLOCKS_DROPPED_AT_ONCE * 4
    for number in range(count):
        driver.append(PutBlock(ACCOUNT, CONTAINER, "a", b"%05d" % number, 1), b"x")
        driver.settle()
    blocks = tuple([BlockChoice(b"%05d" % number, LATEST) for number in range(count)])

    index.rows_max = 0
    driver.do(PutBlockList(ACCOUNT, CONTAINER, "a", blocks))
    waiting = driver.view.uncommitted_blocks(ACCOUNT, CONTAINER, "a")
    driver.do(PutBlock(ACCOUNT, CONTAINER, "a", b"other", 1), b"y")

    assert waiting is None
    assert driver.catalog.segments() == recount(index)
    assert driver.tidy() == 2
    assert index.rows_max <= ENTRY_ROWS_MAX + SEGMENT_ROWS
    assert sum(driver.catalog.segments().values()) == count + 1


def test_a_huge_blob_goes_in_steps() -> None:
    driver = with_container()
    count = PAGE_EXTENTS * (PAGES_DROPPED_AT_ONCE + 1)
    for number in range(count // 64):
        driver.append(PutBlock(ACCOUNT, CONTAINER, "a", b"%04d" % (number % 64), 1), b"x")
    driver.settle()
    blocks = tuple([BlockChoice(b"%04d" % (number % 64), LATEST) for number in range(count)])
    driver.do(PutBlockList(ACCOUNT, CONTAINER, "a", blocks))

    driver.do(DeleteBlob(ACCOUNT, CONTAINER, "a"))

    assert driver.view.blob(ACCOUNT, CONTAINER, "a") is None
    assert driver.catalog.segments() == recount(driver.index)
    assert driver.tidy() == 2
    assert driver.catalog.segments() == {}


def test_a_deleted_container_goes_in_steps_of_a_thousand_rows() -> None:
    index = OneWrite()
    driver = with_container()
    driver.index, driver.catalog = index, Catalog(index, remembered_count=64)
    for number in range(2500):
        driver.append(PutBlob(ACCOUNT, CONTAINER, "%d" % number, 1), b"x")
    driver.append(PutBlock(ACCOUNT, CONTAINER, "a", b"1", 1), b"x")
    driver.settle()

    driver.do(DeleteContainer(ACCOUNT, CONTAINER))
    index.rows_max = 0
    steps = driver.tidy()

    assert 3 <= steps <= 5
    assert index.rows_max <= ENTRY_ROWS_MAX + SEGMENT_ROWS
    assert driver.catalog.segments() == {}
    kinds = {key[:1] for key in all_rows(index)}
    assert kinds == {keys.ACCOUNT, keys.OPERATION, keys.APPLIED}


def test_unfinished_uploads_and_blocks_expire_unless_touched() -> None:
    driver = with_container()
    for upload_id, name in ((b"u" * 16, "a"), (b"v" * 16, "b")):
        driver.do(Chunk(upload_id, 0, ACCOUNT, CONTAINER, name), b"one")
    driver.do(PutBlock(ACCOUNT, CONTAINER, "c", b"1", 3), b"one")
    driver.time_ms += UPLOAD_EXPIRY_MS
    assert driver.tidy(driver.time_ms) == 0
    driver.do(Chunk(b"v" * 16, 1, ACCOUNT, CONTAINER, "b"), b"two")
    driver.time_ms += 1

    assert driver.tidy(driver.time_ms) == 1

    assert sum(driver.catalog.segments().values()) == 9
    driver.time_ms += UNCOMMITTED_EXPIRY_MS
    assert driver.tidy(driver.time_ms) == 2
    assert driver.catalog.segments() == {}
    assert not [key for key in all_rows(driver.index) if key[:1] == keys.TIMER]


def test_the_pure_modules_import_under_pypy() -> None:
    modules = "storage_core.catalog.machine, storage_core.catalog.view, storage_core.index.memory"
    code = f"import {modules}, sys; print(sys.implementation.name)"

    run = subprocess.run(
        ["pypy3", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )

    assert run.stdout.strip() == "pypy"
    assert sys.implementation.name == "cpython"
