"""Questions that a page may ask again: the proof behind a sentence, as figures of today.

Only what triage itself asks may be asked, with plain numbers and names as arguments; anything else
is refused by name. Telemetry being away is an answer, too (SourceSilent).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from console.live.facts import Series
from console.live.observatory import SourceSilent
from console.live.sources import why
from telemetry.client import QueryClient, TelemetryUnavailable

ANSWER_S_MAX = 5.0
SERIES_MAX = 50
TEXT_LENGTH_MAX = 100
DIGITS_MAX = 16


class BadQuestion(Exception):
    """The text says which part of the question is not understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One series of an answer."""

    name: str
    unit: str
    points: Series

    @property
    def known(self) -> list[float]:
        return [value for _, value in self.points if value is not None]

    @property
    def last(self) -> float | None:
        return self.known[-1] if self.known else None

    @property
    def highest(self) -> float | None:
        return max(self.known, default=None)

    @property
    def lowest(self) -> float | None:
        return min(self.known, default=None)


def ask(given: Mapping[str, str], client: QueryClient | None = None) -> list[Curve]:
    """The curves that answer a question. Raises BadQuestion, SourceSilent."""
    name = given.get("ask", "")
    if name not in ASKED:
        raise BadQuestion(f"ask: one of {', '.join(sorted(ASKED))}")
    client = client or QueryClient(settings.HOLDFAST, timeout_s=ANSWER_S_MAX)
    try:
        return ASKED[name](client, given)[:SERIES_MAX]
    except TelemetryUnavailable as error:
        if error.status == 400:
            raise BadQuestion(error.reason) from error
        raise SourceSilent(why(error)) from error


def _node_series(client: QueryClient, given: Mapping[str, str]) -> list[Curve]:
    measure = _text(given, "measure")
    found = client.node_series(
        measure=measure, seconds=_whole(given, "seconds", 1800), step=_whole(given, "step", 5)
    )
    unit = "ms" if measure.endswith("_ms") else "/s"
    return [
        Curve(name=node, unit=unit, points=tuple((t, v) for t, v in points))
        for node, points in sorted(found.items())
    ]


def _points(client: QueryClient, given: Mapping[str, str]) -> list[Curve]:
    found = client.points(
        _text(given, "name"),
        since_ms=_whole(given, "since_ms", 0),
        until_ms=_whole(given, "until_ms", 1 << 42),
        step=_whole(given, "step", 5),
        by=_text(given, "by"),
    )
    return curves_of(found)


def curves_of(answer: Mapping[str, Any]) -> list[Curve]:
    """One curve for each node and attribute value: p99 of a histogram, else the figure itself."""
    shape = answer.get("shape", "")
    curves: dict[str, list[tuple[int, float | None]]] = {}
    for node, of, at, _, total, last, _, p99 in answer.get("rows", ()):
        value = p99 if shape == "exponential" else (total if shape == "counter" else last)
        curves.setdefault(f"{node} {of}".strip(), []).append((at, value))
    unit = "ms" if shape == "exponential" else str(answer.get("unit", ""))
    return [
        Curve(name=name, unit="" if unit == "1" else unit, points=tuple(points))
        for name, points in sorted(curves.items())
    ]


ASKED: Mapping[str, Callable[[QueryClient, Mapping[str, str]], list[Curve]]] = {
    "node_series": _node_series,
    "points": _points,
}


def _text(given: Mapping[str, str], name: str) -> str:
    value = given.get(name, "")
    if len(value) > TEXT_LENGTH_MAX:
        raise BadQuestion(f"{name}: at most {TEXT_LENGTH_MAX} characters")
    return value


def _whole(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, "") or str(default)
    if not text.isdecimal() or len(text) > DIGITS_MAX or int(text) > 1 << 52:
        raise BadQuestion(f"{name}: a whole number is expected")
    return int(text)
