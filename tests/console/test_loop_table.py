"""The table of `make loop`: what counts as right, as void, and as a miss."""

from __future__ import annotations

from tests.loop.outcome import AIMS, Outcome, table

RIGHT = ("node-1", "fsync_stall")


def test_a_case_is_right_only_if_its_first_word_was_the_truth() -> None:
    assert Outcome("fsync-stall", detected_s=9.0, first=RIGHT, truth=RIGHT).is_right
    assert not Outcome("fsync-stall", first=("node-2", "fsync_stall"), truth=RIGHT).is_right
    assert not Outcome("fsync-stall", first=None, truth=RIGHT).is_right


def test_medians_leave_out_what_never_came_and_void_cases() -> None:
    rows = table(
        [
            Outcome("a", detected_s=10.0, named_s=4.0, first=RIGHT, truth=RIGHT, run="done"),
            Outcome("a", detected_s=30.0, named_s=None, first=None, truth=RIGHT),
            Outcome("a", note="refused"),
            Outcome("b", truth=RIGHT, note="no incident"),
        ]
    )

    assert rows[1].split() == "a 2 (1 void) 2 20.0 4.0 - 1 of 2 1 of 1".split()
    assert rows[2].split() == "b 1 0 - - - 0 of 0 0 of 0".split()
    assert rows[3].split() == "all 3 (1 void) 2 20.0 4.0 - 1 of 2 1 of 1".split()


def test_every_miss_is_told_with_what_was_said() -> None:
    rows = table([Outcome("a", detected_s=1.0, first=("node-0", "cpu_hog"), truth=RIGHT)])

    assert rows[-2].startswith("miss: a: detected 1.0 s")
    assert "said node-0 cpu_hog, was node-1 fsync_stall" in rows[-2]
    assert rows[-1] == AIMS
