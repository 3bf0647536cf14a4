"""The watch over series that are readable as text: what is told, when, and that nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from telemetry.slo.alerts import Transition
from tests.telemetry.slo.replay import Stretch, World, parse, replay, scripts

HOURS_S = 2 * 3600


def described(told: list[Transition]) -> list[str]:
    start_ms = 1_700_000_000_000
    return [
        f"{(t.at_ms - start_ms) // 1000} {t.key} {t.state} {t.tier} {t.severity}: {t.headline}"
        for t in told
    ]


@pytest.mark.parametrize("path", scripts(), ids=lambda path: path.stem)
def test_a_series_tells_exactly_what_it_must(path: Path) -> None:
    script = parse(path.read_text())

    told = replay(script)

    assert len(told) == len(script.told), described(told)
    for must, transition in zip(script.told, told, strict=True):
        assert must.is_met_by(transition), (must, described(told))


def test_two_hours_of_demo_with_restarts_page_nobody() -> None:
    """Cache writes and reads, a burst of slow checkpoints once a minute, a telemetry restart of
    4 s and one that nobody saw, a node restart of 5 s, and a rolling upgrade, one node after the
    other.
    """
    world = World()
    told: list[Transition] = []
    usual = "writes 10 reads 16"
    for number in range(HOURS_S):
        words = usual
        if number % 60 in (5, 6):  # A checkpoint: its own writes are slow, and some beside it.
            words = "writes 14 slow 6 reads 16 reads-slow 2"
        if 3000 <= number < 3004:
            words = f"{usual} telemetry down"
        if number == 3500:
            words = f"{usual} telemetry new"
        if 4000 <= number < 4005 or 5000 <= number < 5004 or 5020 <= number < 5024:
            words = f"{usual} nodes 2 voters 2"
        told += world.second(number, Stretch(length_s=1, words=words)).transitions

    assert described(told) == []
    assert world.turned is not None and world.turned.met is True


def test_a_headline_is_a_sentence_with_its_numbers() -> None:
    script = parse("for 200 s writes 10\nfor 30 s writes 10 slow 4")

    told = replay(script)

    assert [t.headline for t in told] == ["Writes are slow: 40 % over 50 ms for 23 s"]
    assert told[0].started_ms == (1_700_000_000 + 200) * 1000
