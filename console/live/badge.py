"""The live badge: is this page's picture complete?

`live` only when every part answered. Blind outranks stale; what is blind is named, three at most.
"""

from dataclasses import dataclass

from console.figures import clock_time
from console.live.observatory import Picture
from console.live.reading import Sight
from console.verdict import State

NAMED_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    state: State
    word: str


def badge_of(picture: Picture) -> Badge:
    blind = [part.part for part in picture.silent_parts if part.sight is Sight.BLIND]
    stale = [part for part in picture.silent_parts if part.sight is Sight.STALE]
    if blind:
        more = f" and {len(blind) - NAMED_MAX} more" if len(blind) > NAMED_MAX else ""
        return Badge(state="unknown", word=f"blind: {', '.join(blind[:NAMED_MAX])}{more}")
    if stale:
        oldest_ms = min(part.as_of_ms or picture.taken_ms for part in stale)
        seconds = (picture.taken_ms - oldest_ms) // 1000
        return Badge(state="warning", word=f"stale {seconds} s: {stale[0].part}")
    return Badge(state="ok", word="live")


def blindness(picture: Picture) -> str:
    """One line for the page's context: what doesn't answer, since when, why."""
    told = []
    for part in picture.silent_parts[:NAMED_MAX]:
        since = f" since {clock_time(part.as_of_ms)} UTC" if part.as_of_ms else ""
        told.append(f"{part.part} doesn't answer{since} ({part.reason})")
    rest = len(picture.silent_parts) - NAMED_MAX
    if rest > 0:
        told.append(f"{rest} more")
    return " · ".join(told)
