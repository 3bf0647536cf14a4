from dataclasses import fields
from pathlib import Path

import pytest

from telemetry.config import ROWS, SettingError, SettingRow, Settings, read_secret

GUIDE = Path(__file__).parents[2] / "docs/guide/settings.md"


def test_every_field_has_a_row_and_every_row_a_field() -> None:
    assert {field.name for field in fields(Settings)} == set(ROWS)


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.variable)
def test_the_guide_tells_each_setting_with_its_default_and_meaning(row: SettingRow) -> None:
    lines = GUIDE.read_text(encoding="utf-8").splitlines()

    line = next(line for line in lines if line.startswith(f"| `{row.variable}` |"))

    assert f"| {row.default} |" in line
    assert line.endswith(f"| {row.meaning} |")


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_environment({})

    assert (settings.web_port, settings.blob_port, settings.nodes) == (8000, 10000, 3)
    assert settings.demo is True
    assert (settings.own_port(1), settings.peer_port(1), settings.admin_port(1)) == (
        10011,
        10021,
        10031,
    )
    assert settings.home.is_absolute()


def test_defaults_of_the_class_are_those_of_the_table() -> None:
    given = Settings.from_environment({})

    for field in fields(Settings):
        if isinstance(field.default, int | float):
            assert getattr(given, field.name) == field.default, field.name


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HOLDFAST_WEB_PORT", "http"),
        ("HOLDFAST_WEB_PORT", "0"),
        ("HOLDFAST_WEB_PORT", "8000.5"),
        ("HOLDFAST_WEB_PORT", "1e3"),
        ("HOLDFAST_OTLP_PORT", "65536"),
        ("HOLDFAST_NODES", "-1"),
        ("DEMO", "yes"),
        ("HOLDFAST_TRACE_RANDOM_RATIO", "1.1"),
        ("HOLDFAST_TRACE_RANDOM_RATIO", "nan"),
    ],
)
def test_a_bad_value_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingError) as refused:
        Settings.from_environment({variable: value})

    assert refused.value.name == variable
    assert refused.value.value == value
    assert "number from" in refused.value.expected


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("not a folder")

    with pytest.raises(SettingError, match="a folder"):
        Settings.from_environment({"HOLDFAST_HOME": str(tmp_path / "home")})


def test_a_secret_that_nobody_made_is_empty(tmp_path: Path) -> None:
    assert read_secret(tmp_path / "otlp.token") == ""
