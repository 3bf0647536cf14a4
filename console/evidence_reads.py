"""The questions of `evidence`, asked of telemetry's query port."""

from collections.abc import Sequence

from django.conf import settings

from console.evidence import (
    Profile,
    ProfileRow,
    Span,
    TraceQuery,
    TraceRow,
    decode_profile_row,
    decode_spans,
    decode_trace_row,
)
from console.live.observatory import SourceSilent
from console.live.sources import why
from telemetry.client import QueryClient, TelemetryUnavailable
from telemetry.config import Settings

ANSWER_S_MAX = 5.0


class Evidence:
    def __init__(self, fleet: Settings) -> None:
        self._query = QueryClient(fleet, timeout_s=ANSWER_S_MAX)
        self._port = fleet.query_port

    def traces(self, asked: TraceQuery) -> Sequence[TraceRow]:
        try:
            found = self._query.traces(
                since_ms=asked.since_ms,
                operation=asked.operation,
                min_ms=asked.min_ms,
                error=asked.error_only,
                limit=asked.limit,
            )
        except TelemetryUnavailable as error:
            raise SourceSilent(f"port {self._port}: {why(error)}") from error
        return [decode_trace_row(row) for row in found]

    def trace(self, trace_id: str) -> Sequence[Span]:
        """Empty where no such trace was kept."""
        try:
            answer = self._query.trace(trace_id)
        except TelemetryUnavailable as error:
            raise SourceSilent(f"port {self._port}: {why(error)}") from error
        return decode_spans(answer) if answer else ()

    def profiles(self, limit: int) -> Sequence[ProfileRow]:
        try:
            rows = self._query.profiles(limit=limit)
        except TelemetryUnavailable as error:
            raise SourceSilent(f"port {self._port}: {why(error)}") from error
        return [decode_profile_row(row) for row in rows]

    def profile(self, profile_id: str) -> Profile | None:
        try:
            answer = self._query.profile(profile_id)
        except TelemetryUnavailable as error:
            raise SourceSilent(f"port {self._port}: {why(error)}") from error
        if not answer:
            return None
        return Profile(row=decode_profile_row(answer), collapsed=str(answer.get("collapsed", "")))


evidence = Evidence(settings.HOLDFAST)
