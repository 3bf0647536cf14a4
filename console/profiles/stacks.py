"""The table twin of the flame graph: where the time went, function by function, as shares."""

from collections.abc import Sequence
from dataclasses import dataclass

from telemetry.profiling.stacks import hottest, parse

TABLE_ROWS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionRow:
    """`own` are samples at the tip of the stack; the shares are of all samples."""

    name: str
    own: int
    own_percent: float
    total_percent: float


def depth(collapsed: str) -> int:
    """Rows of the flame graph: the longest stack, and the process above it."""
    return 1 + max((len(stack) for stack in parse(collapsed)), default=0)


def function_rows(collapsed: str, limit: int = TABLE_ROWS) -> Sequence[FunctionRow]:
    """Raises MalformedStacks."""
    stacks = parse(collapsed)
    samples = max(1, sum(stacks.values()))
    return [
        FunctionRow(
            name=share.frame,
            own=share.self_count,
            own_percent=100 * share.self_count / samples,
            total_percent=100 * share.total_count / samples,
        )
        for share in hottest(stacks, limit)
    ]
