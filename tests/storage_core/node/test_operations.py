"""Late orders are refused, and what was done is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage_core import memory
from storage_core.operations import ROWS_MAX, Operations, Row
from storage_core.orders import BadOrder, Fence, Operation, fence_of, operation_of
from tests.storage_core.node.loops import play


def test_an_older_attempt_is_refused_once_a_newer_one_was_here() -> None:
    operations = Operations()
    operations.done(Operation(7, "transfer", 2))

    assert not operations.admits(Operation(7, "transfer", 1))
    assert operations.admits(Operation(7, "transfer", 2)), "the transport may repeat it"
    assert operations.admits(Operation(7, "transfer", 3))
    assert operations.admits(Operation(7, "drain", 1))
    assert operations.admits(Operation(8, "transfer", 1))


def test_a_raised_fence_refuses_what_was_never_here() -> None:
    operations = Operations()

    was_done = operations.raise_fence(7, "transfer", 2)

    assert not was_done
    assert not operations.admits(Operation(7, "transfer", 1))
    assert operations.admits(Operation(7, "transfer", 2))


def test_a_fence_tells_that_an_attempt_was_carried_out_and_never_goes_back() -> None:
    operations = Operations()
    operations.done(Operation(7, "transfer", 3))

    assert operations.raise_fence(7, "transfer", 2)
    assert not operations.admits(Operation(7, "transfer", 2))


def test_the_longest_untouched_row_is_forgotten_first() -> None:
    operations = Operations()
    for run in range(ROWS_MAX):
        operations.done(Operation(run, "a", 5))
    operations.raise_fence(0, "a", 5)

    operations.done(Operation(ROWS_MAX, "a", 5))

    assert operations.admits(Operation(1, "a", 1))
    assert not operations.admits(Operation(0, "a", 1))
    assert len(operations.rows()) == ROWS_MAX


def test_memory_survives_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        before = memory.Memory(tmp_path)
        before.drained = True
        before.operations.done(Operation(7, "drain", 4))
        assert await before.keep()
        before.close()

    play(story)
    after = memory.Memory(tmp_path)

    assert after.drained
    assert after.operations.rows() == [Row(7, "drain", 4, True)]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 2}', '{"version": 1, "drained": 1, "operations": [[1]]}']
)
def test_a_file_that_cannot_be_read_is_forgotten_not_fatal(tmp_path: Path, text: str) -> None:
    (tmp_path / memory.FILE_NAME).write_text(text)

    found = memory.Memory(tmp_path)

    assert (found.drained, found.operations.rows()) == (False, [])


def test_orders_are_read_as_they_are_written() -> None:
    fence, operation = Fence(2, 41), Operation(7, "Move the lead", 3)
    body = {"fence": fence.as_json(), "operation": operation.as_json()}

    assert (fence_of(body), operation_of(body)) == (fence, operation)
    assert (fence_of({}), operation_of({})) == (None, None)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"fence": 1}, "fence: must hold leader and term"),
        ({"fence": {"leader": 1}}, "term: must be a whole number"),
        ({"operation": []}, "operation: must hold run, step and attempt"),
        ({"operation": {"run": 1, "step": "", "attempt": 1}}, "step: must be 1 to 64"),
        ({"operation": {"run": 1, "step": "a\n", "attempt": 1}}, "step: must be"),
        ({"operation": {"run": 1, "step": "a", "attempt": 0}}, "attempt: must be"),
    ],
)
def test_a_malformed_proof_is_no_proof(body: dict[str, object], words: str) -> None:
    with pytest.raises(BadOrder, match=words):
        fence_of(body)
        operation_of(body)
