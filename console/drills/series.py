"""The same drill many times in a row: one line each, and what they say together. Pure.

One recovery is an anecdote. A series tells the usual one from the worst, and a single run that did
not pass is never averaged away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from console.drills import words
from console.figures import quantity
from console.verdict import plural
from runbooks.drills.queries import DrillRow

PATHS = ("core", "door", "sdk")


def line(drill: DrillRow, number: int, total: int) -> str:
    """One of the series: its verdict, three recovery times, what was lost, consistency."""
    head = f"{number:>3} of {total}: drill {drill.id} {drill.verdict or 'under way'}"
    rto, rpo = words.part(drill.numbers, "rto"), words.part(drill.numbers, "rpo")
    if not rto:
        return f"{head}, {drill.reason}"
    told = ", ".join(f"{path} {words.wait(words.part(rto, path))}" for path in PATHS)
    consistency = words.part(drill.numbers, "consistency").get("verdict", "")
    return f"{head}, RTO {told}, RPO {rpo.get('missing')}, {consistency}"


def summary(drills: Sequence[DrillRow]) -> list[str]:
    """All verdicts, and of each recovery time the median and the worst.

    A door that was never out counts with its longest wait, one that was not back is named.
    """
    verdicts = Counter(drill.verdict or "under way" for drill in drills)
    found = [
        f"{plural(len(drills), 'drill')}: "
        + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    ]
    for path in PATHS:
        parts = [words.part(words.part(drill.numbers, "rto"), path) for drill in drills]
        times = [part["ms"] for part in parts if part.get("ms") is not None]
        if not times:
            continue
        away = sum(1 for part in parts if part and part.get("ms") is None)
        found.append(
            f"  RTO {path:<5} median {quantity(median(times), 'ms')}, "
            f"worst {quantity(max(times), 'ms')}" + (f", {away} not back" if away else "")
        )
    missing = sum(words.part(drill.numbers, "rpo").get("missing", 0) for drill in drills)
    acknowledged = sum(words.part(drill.numbers, "rpo").get("acknowledged", 0) for drill in drills)
    found.append(f"  RPO       {missing} of {acknowledged:,} acknowledged writes missing")
    return found
