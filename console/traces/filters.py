"""The filters of the trace list: read from the address, checked, each error naming its field."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from console.evidence import TraceQuery

RANGES_MIN = {"15": "15 min", "60": "1 h", "360": "6 h", "1440": "24 h"}
OPERATION_LENGTH_MAX = 60
SLOW_MS_MAX = 600_000
LIST_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFilters:
    operation: str = ""
    min_ms: float | None = None
    error_only: bool = False
    range_min: int = 60
    problems: Mapping[str, str] = field(default_factory=dict)

    def query(self, *, now_ms: int) -> TraceQuery:
        return TraceQuery(
            since_ms=now_ms - self.range_min * 60_000,
            operation=self.operation,
            min_ms=self.min_ms or 0.0,
            error_only=self.error_only,
            limit=LIST_ROWS,
        )

    @property
    def narrowed(self) -> bool:
        return bool(self.operation or self.min_ms is not None or self.error_only)


def read_filters(query: Mapping[str, str]) -> TraceFilters:
    problems = {}
    min_ms = None
    text = query.get("min_ms", "").strip()
    if text:
        try:
            min_ms = float(text)
        except ValueError:
            min_ms = -1.0
        if not 0 <= min_ms <= SLOW_MS_MAX:
            problems["min_ms"] = f"Slower than: a number of ms from 0 to {SLOW_MS_MAX:,} expected"
            min_ms = None
    range_text = query.get("range", "60")
    if range_text not in RANGES_MIN:
        problems["range"] = f"Range: one of {', '.join(RANGES_MIN)} minutes expected"
        range_text = "60"
    return TraceFilters(
        operation=query.get("operation", "").strip()[:OPERATION_LENGTH_MAX],
        min_ms=min_ms,
        error_only=query.get("error") == "1",
        range_min=int(range_text),
        problems=problems,
    )
