"""Collapsed stacks as a table of functions: where the time went, summed over all callers.

Pure. A line is `frame;frame;frame count`, outermost first. A function's own samples are those where
it is innermost; its total counts a sample once even where it calls itself.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TABLE_ROWS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionRow:
    name: str
    own: int
    total: int
    own_percent: float
    total_percent: float


def parse(collapsed: str) -> Iterable[tuple[Sequence[str], int]]:
    """Stacks and their counts; a line that is neither is left out."""
    for line in collapsed.splitlines():
        stack, _, count = line.rpartition(" ")
        if stack and count.isascii() and count.isdigit():
            yield stack.split(";"), int(count)


def function_rows(collapsed: str, limit: int = TABLE_ROWS) -> Sequence[FunctionRow]:
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    samples = 0
    for frames, count in parse(collapsed):
        samples += count
        own[frames[-1]] += count
        for frame in set(frames):
            total[frame] += count
    ranked = sorted(total, key=lambda name: (-own[name], -total[name], name))[:limit]
    return [
        FunctionRow(
            name=name,
            own=own[name],
            total=total[name],
            own_percent=100 * own[name] / samples,
            total_percent=100 * total[name] / samples,
        )
        for name in ranked
    ]
