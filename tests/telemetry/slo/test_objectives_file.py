"""The file of objectives: each error names file, line, field and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from telemetry.config import Settings
from telemetry.slo.objectives import (
    BUILT_IN,
    FILE_BYTES_MAX,
    NAMES,
    ObjectivesError,
    effective,
    load,
    parse,
)

GOOD = """\
version: 1
window_days: 7
objectives:
  - name: write-latency
    target_percent: 99
    threshold_ms: 25
"""


def make_settings(home: Path) -> Settings:
    return Settings.from_environment({"HOLDFAST_HOME": str(home), "HOLDFAST_SLOW_WRITE_MS": "80"})


def test_our_own_file_promises_all_four_by_the_settings(tmp_path: Path) -> None:
    found = load(make_settings(tmp_path))

    assert found.path == BUILT_IN
    assert {row.name for row in found.rows} == set(NAMES)
    assert (found.write_ms, found.read_ms) == (80.0, 20.0)


def test_a_file_in_the_home_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "objectives.yaml").write_text(GOOD)

    found = load(make_settings(tmp_path))

    (row,) = found.rows
    assert (row.target_percent, row.threshold_ms, row.window_days) == (99.0, 25.0, 7)
    assert found.read_ms is None


@pytest.mark.parametrize(
    ("before", "after", "line", "field", "allowed"),
    [
        ("version: 1", "version: 2", 1, "version", "from 1 to 1"),
        ("version: 1\n", "", 1, "version", "is needed"),
        ("window_days: 7", "window_days: 31", 2, "window_days", "from 1 to 30"),
        ("window_days: 7", "window_days: 1.5", 2, "window_days", "a whole number"),
        ("window_days: 7", "weeks: 1", 2, "weeks", "version, window_days, objectives"),
        ("target_percent: 99", "target_percent: 100", 5, "target_percent", "from 50 to 99.999"),
        ("target_percent: 99", "target_percent: most", 5, "target_percent", "a number"),
        ("target_percent: 99", "target: 99", 5, "target", "name, target_percent, threshold_ms"),
        ("    target_percent: 99\n", "", 4, "target_percent", "is needed"),
        ("write-latency", "disk-latency", 4, "name", "one of write-availability"),
        ("write-latency", "write-availability", 6, "threshold_ms", "not for write-availability"),
        ("    threshold_ms: 25\n", "", 4, "threshold_ms", "is needed for write-latency"),
        ("threshold_ms: 25", "threshold_ms: SLOW", 6, "threshold_ms", "HOLDFAST_SLOW_WRITE_MS"),
        ("threshold_ms: 25", "threshold_ms: 0", 6, "threshold_ms", "from 1 to 600000"),
        ("window_days: 7", "window_days: 7\nwindow_days: 7", 3, "window_days", "once"),
        ("objectives:", "objectives: [", 4, "file", "YAML"),
        (GOOD[11:], "objectives: []", 2, "objectives", "a list of 1 to 4"),
        (GOOD, "- 1", 1, "file", "a mapping"),
        (GOOD, "", 1, "file", "a mapping"),
        ("version: 1", "version: \x07", 1, "file", "control characters"),
    ],
)
def test_an_error_names_line_field_and_what_is_allowed(
    tmp_path: Path, before: str, after: str, line: int, field: str, allowed: str
) -> None:
    assert before in GOOD
    path = tmp_path / "objectives.yaml"

    with pytest.raises(ObjectivesError) as caught:
        parse(GOOD.replace(before, after, 1), path, make_settings(tmp_path))

    error = caught.value
    assert (error.line, error.field) == (line, field)
    assert allowed in error.allowed
    assert str(error).startswith(f"{path}:{line}: {field}: ")


def test_a_name_is_promised_once(tmp_path: Path) -> None:
    twice = GOOD + GOOD[GOOD.index("  - name") :]

    with pytest.raises(ObjectivesError, match=r":7: name: write-latency only once"):
        parse(twice, tmp_path / "objectives.yaml", make_settings(tmp_path))


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"a: \xff\n", ":1: file: UTF-8"), (b"#" * (FILE_BYTES_MAX + 1), "at most 65536 bytes")],
)
def test_a_file_that_is_no_text_or_too_long_is_refused(
    tmp_path: Path, data: bytes, said: str
) -> None:
    (tmp_path / "objectives.yaml").write_bytes(data)

    with pytest.raises(ObjectivesError, match=said):
        load(make_settings(tmp_path))


def test_a_folder_of_that_name_is_an_error_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "objectives.yaml").mkdir()

    with pytest.raises(ObjectivesError, match="can't be read"):
        load(make_settings(tmp_path))


def test_after_an_error_the_version_before_stays_in_force(tmp_path: Path) -> None:
    settings, path = make_settings(tmp_path), tmp_path / "objectives.yaml"
    path.write_text(GOOD)
    first = effective(settings)

    path.write_text(GOOD.replace("99", "101"))
    second = effective(settings, first)
    path.write_text(GOOD.replace("99", "98"))
    third = effective(settings, second)

    assert (second.rows, second.digest) == (first.rows, first.digest)
    assert ":5: target_percent: " in second.error
    assert (third.error, third.rows[0].target_percent) == ("", 98.0)
    assert third.digest != first.digest


def test_without_a_version_before_our_own_is_in_force(tmp_path: Path) -> None:
    (tmp_path / "objectives.yaml").write_text("nonsense")

    found = effective(make_settings(tmp_path))

    assert found.path == BUILT_IN
    assert "objectives.yaml:1: file: a mapping" in found.error
