"""An error budget as a bar: what is left, what drills spent, what real trouble spent."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()

WIDTH = 384
HEIGHT = 8
HATCH_EVERY = 4


@register.simple_tag
def budget_bar(left_percent: float, drill_percent: float) -> SafeString:
    """Left to right: left, spent by drills (hatched), spent by real trouble (empty)."""
    left = WIDTH * max(0.0, min(100.0, left_percent)) / 100
    drill = min(WIDTH - left, WIDTH * max(0.0, drill_percent) / 100)
    # Each line leans over two units, so the hatch begins and ends inside of its part.
    starts = range(round(left) + 1, round(left + drill) - 2, HATCH_EVERY)
    hatch = format_html_join(
        "",
        '<line class="hatch-line" x1="{}" y1="{}" x2="{}" y2="0"/>',
        ((x, HEIGHT, x + 3) for x in starts),
    )
    return format_html(
        '<svg class="budget-bar" viewBox="0 0 {w} {h}" preserveAspectRatio="none" '
        'aria-hidden="true"><rect class="budget-all" width="{w}" height="{h}" rx="2"/>'
        '<rect class="budget-left" width="{left}" height="{h}" rx="2"/>{hatch}</svg>',
        w=WIDTH,
        h=HEIGHT,
        left=f"{left:.1f}",
        hatch=hatch,
    )
