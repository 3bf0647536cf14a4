"""The mark that says "a drill is under way", and nothing when its writer died."""

from pathlib import Path

from runbooks.drills import mark
from runbooks.drills.mark import DrillMark

MARK = DrillMark(run_id=7, scenario="failover-leader", since_ms=1_000, until_ms=5_000)


def test_a_mark_is_read_back_while_its_time_lasts(tmp_path: Path) -> None:
    mark.write(tmp_path, MARK)

    assert mark.active(tmp_path, now_ms=4_999) == MARK


def test_a_mark_whose_time_is_over_says_nothing(tmp_path: Path) -> None:
    mark.write(tmp_path, MARK)

    assert mark.active(tmp_path, now_ms=5_000) is None


def test_a_torn_or_foreign_file_is_no_mark(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"run_id": "x"}', '{"run_id": 1}'):
        (tmp_path / "drill.json").write_text(text)

        assert mark.active(tmp_path, now_ms=0) is None, text


def test_only_the_drill_itself_removes_its_mark(tmp_path: Path) -> None:
    mark.write(tmp_path, MARK)

    mark.clear(tmp_path, 6)
    assert mark.active(tmp_path, now_ms=2_000) == MARK

    mark.clear(tmp_path, 7)
    assert mark.active(tmp_path, now_ms=2_000) is None
