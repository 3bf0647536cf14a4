"""Signals read from telemetry for the pages of traces and profiles, decoded once.

Unlike the live picture these are questions of one page, asked when it is opened, with a deadline of
their own. Telemetry being away is an answer (`SourceSilent`), and so is "not kept" (`None`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceQuery:
    """What is asked of the list; empty or zero means all."""

    since_ms: int
    operation: str
    min_ms: float
    error_only: bool
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRow:
    trace_id: str
    root_name: str
    service: str
    node: str
    start_ms: float
    duration_ms: float
    status: str
    reason: str
    span_count: int

    @property
    def failed(self) -> bool:
        return self.status.lower() == "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    span_id: str
    parent_id: str
    name: str
    service: str
    node: str
    start_ns: int
    duration_ns: int
    status: str
    attributes: Mapping[str, str]

    @property
    def end_ns(self) -> int:
        return self.start_ns + self.duration_ns

    @property
    def failed(self) -> bool:
        return self.status.lower() == "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    profile_id: str
    target: str
    started_ms: float
    seconds: float
    rate_hz: int
    samples: int
    pause_percent: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    row: ProfileRow
    collapsed: str


def decode_trace_row(raw: Mapping[str, Any]) -> TraceRow:
    return TraceRow(
        trace_id=str(raw["trace_id"]),
        root_name=str(raw["root_name"]),
        service=str(raw.get("service", "")),
        node=str(raw.get("node") or ""),
        start_ms=float(raw["start_ms"]),
        duration_ms=float(raw["duration_ms"]),
        status=str(raw.get("status") or ""),
        reason=str(raw.get("reason") or ""),
        span_count=int(raw.get("span_count") or 0),
    )


def decode_span(raw: Mapping[str, Any]) -> Span:
    return Span(
        span_id=str(raw["span_id"]),
        parent_id=str(raw.get("parent_span_id") or ""),
        name=str(raw["name"]),
        service=str(raw.get("service", "")),
        node=str(raw.get("node") or ""),
        start_ns=int(raw["start_ns"]),
        duration_ns=int(raw["duration_ns"]),
        status=str(raw.get("status") or ""),
        attributes={str(k): str(v) for k, v in (raw.get("attributes") or {}).items()},
    )


def decode_profile_row(raw: Mapping[str, Any]) -> ProfileRow:
    pause = raw.get("pause_percent")
    return ProfileRow(
        profile_id=str(raw["id"]),
        target=str(raw["target"]),
        started_ms=float(raw["started_ms"]),
        seconds=float(raw["seconds"]),
        rate_hz=int(raw["rate_hz"]),
        samples=int(raw.get("samples") or 0),
        pause_percent=None if pause is None else float(pause),
    )


def decode_spans(raw: Mapping[str, Any]) -> Sequence[Span]:
    return [decode_span(span) for span in raw.get("spans", ())]
