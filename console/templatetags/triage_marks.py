"""Marks of the cause panel: two stage bars on one scale, and links that ask again."""

from collections.abc import Sequence
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console.figures import NONE_TEXT, quantity
from console.templatetags.face import state
from console.traces.waterfall import STAGE_KINDS
from console.triage.accuracy import WORDS, Interval, Verdict
from console.triage.findings import KINDS, Bars, Line, Part, Question

register = template.Library()

LABEL_PERCENT_MIN = 10.0
"""Narrower pieces are told in the list below the bars."""
LONGEST_COUNT = 5


@register.filter
def last_value(line: Line) -> float | None:
    return next((value for _, value in reversed(line.points) if value is not None), None)


@register.filter
def longest(parts: Sequence[Part]) -> Sequence[Part]:
    """The parts worth a line of text, longest first."""
    return sorted(parts, key=lambda part: -part.ms)[:LONGEST_COUNT]


@register.simple_tag
def question_url(question: Question) -> str:
    given = {"ask": question.ask, **question.params}
    return f"{reverse('question')}?{urlencode(given)}"


def part_title(part: Part) -> str:
    where = f" on {part.node}" if part.node else ""
    return f"{part.stage}{where} {quantity(part.ms, 'ms')}"


@register.simple_tag
def cause_bar(parts: Sequence[Part], bars: Bars) -> SafeString:
    """One bar, as long as its sum against the longer of the two."""
    scale = max(bars.normal_ms, bars.now_ms, 1e-9)
    start = 0.0
    placed = []
    for part in parts:
        width = 100.0 * part.ms / scale
        placed.append((part, start, width))
        start += width
    pieces = format_html_join(
        "",
        '<rect class="stage-{}" x="{}%" y="0.5" width="{}%" height="19"><title>{}</title></rect>',
        (
            (
                STAGE_KINDS.get(part.stage, "unexplained"),
                f"{at:.3f}",
                f"{width:.3f}",
                part_title(part),
            )
            for part, at, width in placed
        ),
    )
    labels = format_html_join(
        "",
        '<text class="stage-text stage-ink-{}" x="{}%" dx="6" y="14">{}</text>',
        (
            (STAGE_KINDS.get(part.stage, "unexplained"), f"{at:.3f}", part.stage)
            for part, at, width in placed
            if width >= LABEL_PERCENT_MIN
        ),
    )
    told = ", ".join(part_title(part) for part, _, _ in placed)
    return format_html(
        '<svg class="cause-bar" role="img" aria-label="{}">{}{}</svg>', told, pieces, labels
    )


@register.filter
def interval(share: Interval) -> str:
    """The 95 % interval in percent; a dash while there is no case."""
    if not share.total:
        return NONE_TEXT
    return f"{100 * share.low:.0f} to {100 * share.high:.0f} %"


@register.filter
def said(pair: tuple[str, str]) -> str:
    """A cause in words: "node-1 stalls on flush"; empty for none."""
    entity, kind = pair
    return f"{entity} {KINDS.get(kind, kind)}" if entity else ""


@register.simple_tag
def judged(verdict: Verdict) -> SafeString:
    return state(*WORDS[verdict])


@register.filter
def spaced(kind: str) -> str:
    """A kind of cause as a name for people: "fsync stall"."""
    return kind.replace("_", " ")
