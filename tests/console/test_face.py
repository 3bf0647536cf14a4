from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from console.figures import quantity, span, three
from console.templatetags.face import SHAPES, spark_runs

CSS = Path(__file__).parents[2] / "console" / "static" / "base.css"
PAIR = re.compile(r"--([a-z0-9-]+): light-dark\((#[0-9A-F]{6}), (#[0-9A-F]{6})\);")
TOKENS = {name: (light, dark) for name, light, dark in PAIR.findall(CSS.read_text())}
GROUNDS = ("bg", "surface", "raised")
FLOORS = {
    "text": 12.9,
    "muted": 5.8,
    "accent": 5.5,
    "control": 3.6,
    **{f"{state}-text": 4.5 for state in ("firing", "warning", "ok", "unknown")},
    **{f"{state}-fill": 3.0 for state in ("firing", "warning", "ok", "unknown")},
}
INKS = {
    "on-accent": "accent",
    "on-processor": "stage-processor",
    "on-disk": "stage-disk",
    "on-network": "stage-network",
}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("name", "ground", "theme"), [*product(FLOORS, GROUNDS, (0, 1))])
def test_every_text_and_fill_is_readable_on_every_ground(
    name: str, ground: str, theme: int
) -> None:
    ratio = contrast(TOKENS[name][theme], TOKENS[ground][theme])

    # The specification rounds to one decimal.
    assert round(ratio, 1) >= FLOORS[name], (name, ground, theme, ratio)


@pytest.mark.parametrize(("name", "theme"), [*product(("text", "muted"), (0, 1))])
def test_text_is_readable_on_a_selected_row(name: str, theme: int) -> None:
    assert contrast(TOKENS[name][theme], TOKENS["selected"][theme]) >= 4.5


@pytest.mark.parametrize(("ink", "theme"), [*product(INKS, (0, 1))])
def test_ink_is_readable_on_what_it_stands_on(ink: str, theme: int) -> None:
    assert contrast(TOKENS[ink][theme], TOKENS[INKS[ink]][theme]) >= 4.5


def test_colours_stand_only_in_the_tokens_layer() -> None:
    source = CSS.read_text()
    start = source.index("@layer tokens {")
    rest = source[:start] + source[source.index("@layer elements {") :]

    assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(", rest)


def test_the_one_style_sheet_keeps_its_limit_and_its_layers() -> None:
    source = CSS.read_text()

    assert len(source.splitlines()) <= 400
    assert "@layer reset, tokens, elements, parts;" in source


def test_every_token_that_is_used_exists() -> None:
    source = CSS.read_text()
    defined = set(re.findall(r"^\s*--([a-z0-9-]+):", source, re.MULTILINE))

    assert set(re.findall(r"var\(--([a-z0-9-]+)\)", source)) <= defined


def test_every_state_has_its_own_shape() -> None:
    assert len(set(SHAPES.values())) == len(SHAPES)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (41.8, "41.8"),
        (4.1, "4.10"),
        (2314, "2310"),
        (0.00412, "0.00412"),
        (999.6, "1000"),
    ],
)
def test_figures_have_three_digits(value: Any, text: str) -> None:
    assert three(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (41.8, "ms", "41.8\u202fms"),
        (12_000, "ms", "12.0\u202fs"),
        (2310, "/s", "2.31\u202fk/s"),
        (214, "/s", "214/s"),
        (5 << 30, "bytes", "5.00\u202fGiB"),
        (None, "ms", "\u2013"),
    ],
)
def test_a_quantity_always_has_its_unit_and_no_data_is_a_dash(
    value: Any, unit: str, text: str
) -> None:
    assert quantity(value, unit) == text


def test_a_length_of_time_has_two_units() -> None:
    assert [span(4), span(152), span(21_840), span(180_000)] == [
        "4 s",
        "2 min 32 s",
        "6 h 4 min",
        "2 d 2 h",
    ]


def test_a_gap_in_the_data_is_a_gap_in_the_line() -> None:
    runs = spark_runs(((0, 1.0), (1, 2.0), (2, None), (3, 1.0), (4, 3.0)))

    assert len(runs) == 2
