"""The visual language as template words: shapes, states, quantities, times, sparklines.

Every state is a shape, a word and a colour; a template can't ask for the colour alone.
"""

import time
from collections.abc import Sequence
from datetime import datetime

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from console.figures import NONE_TEXT, clock_time, gap, iso_time, span, with_unit
from console.live.facts import Series
from console.traces.waterfall import Row, Segment, Tick

register = template.Library()

# Twelve units square, outlines half a unit inside. Firing up, warning on its corner, unknown half.
SHAPES = {
    "firing": '<path d="M6 1 11.5 11H.5Z"/>',
    "warning": '<path d="M6 .5 11.5 6 6 11.5.5 6Z"/>',
    "ok": '<circle cx="6" cy="6" r="5"/>',
    "unknown": '<path d="M6 1 11 6 6 11 1 6Z" fill="none" stroke-width="1.5"/>'
    '<path d="M6 1 1 6 6 11Z"/>',
    "running": '<path d="M2 1 11 6 2 11Z"/>',
    "idle": '<circle cx="6" cy="6" r="4.75" stroke-width="1.5"/>',
}
ICONS = {
    "now": '<path d="M3 11a7 7 0 1 1 14 0"/><path d="m10 11 3-4"/><path d="M3 15h14"/>',
    "incidents": '<path d="M10 3 17.5 16.5h-15Z"/><path d="M10 8v4M10 14v.5"/>',
    "traces": '<path d="M3 5h9M6 10h11M9 15h5"/>',
    "profiles": '<path d="M3 16h14M4 12h11M6 8h6M8 4h2"/>',
    "cluster": '<circle cx="10" cy="4.5" r="2"/><circle cx="4.5" cy="14" r="2"/>'
    '<circle cx="15.5" cy="14" r="2"/><path d="M9 6.5 5.5 12M11 6.5l3.5 5.5M6.5 14h7"/>',
    "runs": '<path d="M5 4v12l11-6Z"/>',
    "slos": '<path d="M3 16h14M3 12h14" /><path d="M3 8h9M3 4h5"/><circle cx="15" cy="6" r="2"/>',
    "accuracy": '<circle cx="10" cy="10" r="6.5"/><circle cx="10" cy="10" r="2.5"/>'
    '<path d="M10 1v3M10 16v3M1 10h3M16 10h3"/>',
    "settings": '<path d="M3 6h8M15 6h2M3 14h2M9 14h8"/><circle cx="13" cy="6" r="2"/>'
    '<circle cx="7" cy="14" r="2"/>',
    "brand": '<path d="M10 2 17 6v8l-7 4-7-4V6Z"/><path d="M10 10v8M10 10l7-4M10 10 3 6"/>',
    "more": '<circle cx="4" cy="10" r="1"/><circle cx="10" cy="10" r="1"/>'
    '<circle cx="16" cy="10" r="1"/>',
}


@register.simple_tag
def shape(state: str, large: bool = False) -> SafeString:
    return format_html(
        '<svg class="shape shape-{}{}" viewBox="0 0 12 12" aria-hidden="true">{}</svg>',
        state,
        " shape-large" if large else "",
        mark_safe(SHAPES[state]),
    )


@register.simple_tag
def state(name: str, word: str) -> SafeString:
    return format_html('<span class="state state-{}">{}{}</span>', name, shape(name), word)


@register.simple_tag
def icon(name: str) -> SafeString:
    return format_html(
        '<svg class="rail-icon" viewBox="0 0 20 20" aria-hidden="true">{}</svg>',
        mark_safe(ICONS[name]),
    )


@register.simple_tag
def quantity(value: float | str | None, unit: str) -> SafeString:
    """A template's missing variable is ""; that is no data too."""
    figure, unit = with_unit(None if isinstance(value, str) else value, unit)
    if not unit:
        return format_html("{}", figure)
    return format_html('{}{}<span class="unit">{}</span>', figure, gap(unit), unit)


@register.filter
def count(value: int | str | None) -> str:
    return f"{value:,}" if isinstance(value, int) else NONE_TEXT


@register.filter
def length_of(seconds: float | str | None) -> str:
    return span(None if isinstance(seconds, str) else seconds)


@register.filter
def told(value: object) -> object:
    """A dash for what a part did not tell."""
    return NONE_TEXT if value is None or value == "" else value


def in_ms(moment: float | datetime) -> float:
    return moment.timestamp() * 1000 if isinstance(moment, datetime) else moment


@register.simple_tag
def at(moment: float | datetime | str | None) -> SafeString | str:
    """A time of day with its zone; the script shows it in local time when asked (`u`)."""
    if moment is None or isinstance(moment, str):
        return NONE_TEXT
    time_ms = in_ms(moment)
    return format_html(
        '<time datetime="{}" data-time>{} UTC</time>', iso_time(time_ms), clock_time(time_ms)
    )


@register.simple_tag
def ago(moment: float | datetime | str | None) -> SafeString | str:
    """How long ago, with the exact time on hover."""
    if moment is None or isinstance(moment, str):
        return NONE_TEXT
    time_ms = in_ms(moment)
    return format_html(
        '<time datetime="{}" title="{} UTC">{} ago</time>',
        iso_time(time_ms),
        clock_time(time_ms),
        span(time.time() - time_ms / 1000),
    )


SPARK_WIDTH = 96
SPARK_HEIGHT = 24


def spark_runs(points: Series) -> Sequence[str]:
    """The unbroken stretches of a series as SVG points; a gap in the data is a gap in the line."""
    values = [value for _, value in points if value is not None]
    if not values:
        return ()
    top = max(values) or 1.0
    start_ms, end_ms = points[0][0], points[-1][0]
    width_ms = max(1, end_ms - start_ms)
    runs: list[list[str]] = [[]]
    for time_ms, value in points:
        if value is None:
            runs.append([])
            continue
        x = (time_ms - start_ms) / width_ms * SPARK_WIDTH
        y = SPARK_HEIGHT - 1 - value / top * (SPARK_HEIGHT - 2)
        runs[-1].append(f"{x:.1f},{y:.1f}")
    return tuple(" ".join(run) for run in runs if len(run) > 1)


@register.simple_tag
def sparkline(points: Series) -> SafeString:
    lines = format_html_join(
        "", '<polyline class="spark-line" points="{}"/>', ((run,) for run in spark_runs(points))
    )
    return format_html(
        '<svg class="spark" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">'
        "{}</svg>",
        SPARK_WIDTH,
        SPARK_HEIGHT,
        lines,
    )


@register.simple_tag
def bar(value: float, most: float) -> SafeString:
    """A 96 by 8 bar: this row's value against the largest of the list."""
    width = max(1.0, SPARK_WIDTH * value / most) if most > 0 else 1.0
    return format_html(
        '<svg class="bar-mark" viewBox="0 0 96 8" aria-hidden="true">'
        '<rect class="bar-fill" width="{}" height="8" rx="2"/></svg>',
        f"{width:.1f}",
    )


SEGMENT_LABEL_PERCENT_MIN = 8


@register.simple_tag
def stage_bar(segments: Sequence[Segment]) -> SafeString:
    """The critical path as one line; pieces wide enough carry their name, all carry a title."""
    pieces = format_html_join(
        "",
        '<rect class="stage-{}" x="{}%" y="0.5" width="{}%" height="23"><title>{}</title></rect>',
        (
            (
                part.kind,
                f"{part.start_percent:.3f}",
                f"{part.width_percent:.3f}",
                segment_title(part),
            )
            for part in segments
        ),
    )
    labels = format_html_join(
        "",
        '<text class="stage-text stage-ink-{}" x="{}%" dx="6" y="16">{}</text>',
        (
            (part.kind, f"{part.start_percent:.3f}", part.name)
            for part in segments
            if part.width_percent >= SEGMENT_LABEL_PERCENT_MIN
        ),
    )
    told = ", ".join(segment_title(part) for part in segments)
    return format_html(
        '<svg class="stage-bar" role="img" aria-label="{}">{}{}</svg>', told, pieces, labels
    )


def segment_title(part: Segment) -> str:
    where = f" on {part.node}" if part.node else ""
    return f"{part.name}{where} {part.ms:.3g} ms"


@register.simple_tag
def lane(row: Row) -> SafeString:
    """One span's bar on the common time axis."""
    return format_html(
        '<svg class="lane-svg" aria-hidden="true">'
        '<rect class="stage-{}{}" x="{}%" y="25%" width="{}%" height="50%" rx="2"/>{}</svg>',
        row.kind,
        "" if row.on_path else " off-path",
        f"{row.start_percent:.3f}",
        f"{max(row.width_percent, 0.15):.3f}",
        format_html(
            '<rect class="path-line" x="{}%" y="82%" width="{}%" height="2"/>',
            f"{row.start_percent:.3f}",
            f"{max(row.width_percent, 0.15):.3f}",
        )
        if row.on_path
        else "",
    )


@register.simple_tag
def ruler(ticks: Sequence[Tick]) -> SafeString:
    marks = format_html_join(
        "",
        '<line class="ruler-line" x1="{0}%" x2="{0}%" y1="18" y2="24"/>'
        '<text class="ruler-text" x="{0}%" y="14" text-anchor="{1}">{2}</text>',
        ((f"{tick.percent:.3f}", tick.anchor, tick.text) for tick in ticks),
    )
    return format_html('<svg class="lane-ruler" role="img" aria-label="time axis">{}</svg>', marks)
