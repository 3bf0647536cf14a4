"""Evidence as JSON and back: so that a case can be kept, and diagnosed again in a year.

Pure. Compact: seconds stay columns, points are lists, and a stage's place is "stage@node".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from console.triage.evidence import (
    ChangeSeen,
    Curve,
    Evidence,
    NodeNow,
    Point,
    ProcessNow,
    Request,
    Seconds,
)
from console.triage.findings import Silence

FIGURES = 4


def encode(evidence: Evidence) -> dict[str, Any]:
    return {
        "taken_ms": evidence.taken_ms,
        "onset_ms": evidence.onset_ms,
        "normal": list(evidence.normal),
        "now": list(evidence.now),
        "seconds": {
            "start_s": evidence.seconds.start_s,
            "nodes": {
                node: {name: [_short(v) for v in column] for name, column in columns.items()}
                for node, columns in evidence.seconds.nodes.items()
            },
        },
        "curves": [
            [
                curve.metric,
                curve.node,
                curve.of,
                [
                    [p.at_ms, p.count, _short(p.total), _short(p.last), _short(p.p99)]
                    for p in curve.points
                ],
            ]
            for curve in evidence.curves
        ],
        "nodes": [asdict(each) for each in evidence.nodes],
        "processes": [asdict(each) for each in evidence.processes],
        "changes": [asdict(each) for each in evidence.changes],
        "requests_normal": [_request(each) for each in evidence.requests_normal],
        "requests_now": [_request(each) for each in evidence.requests_now],
        "missing": [asdict(each) for each in evidence.missing],
    }


def decode(raw: Mapping[str, Any]) -> Evidence:
    return Evidence(
        taken_ms=raw["taken_ms"],
        onset_ms=raw["onset_ms"],
        normal=(raw["normal"][0], raw["normal"][1]),
        now=(raw["now"][0], raw["now"][1]),
        seconds=Seconds(
            start_s=raw["seconds"]["start_s"],
            nodes={
                node: {name: tuple(column) for name, column in columns.items()}
                for node, columns in raw["seconds"]["nodes"].items()
            },
        ),
        curves=tuple(
            Curve(metric=metric, node=node, of=of, points=tuple(_point(p) for p in points))
            for metric, node, of, points in raw["curves"]
        ),
        nodes=tuple(NodeNow(**each) for each in raw["nodes"]),
        processes=tuple(ProcessNow(**each) for each in raw["processes"]),
        changes=tuple(ChangeSeen(**each) for each in raw["changes"]),
        requests_normal=tuple(_request_from(each) for each in raw["requests_normal"]),
        requests_now=tuple(_request_from(each) for each in raw["requests_now"]),
        missing=tuple(Silence(**each) for each in raw["missing"]),
    )


def _short(value: float | None) -> float | None:
    if value is None:
        return None
    short = float(f"{value:.{FIGURES}g}")
    return int(short) if short.is_integer() else short


def _point(raw: Any) -> Point:
    at_ms, count, total, last, p99 = raw
    return Point(at_ms=at_ms, count=count, total=total, last=last, p99=p99)


def _request(each: Request) -> dict[str, Any]:
    return {
        **asdict(each),
        "ms": _short(each.ms),
        "parts": {
            f"{stage}@{node}": _short(ms) for (stage, node), ms in each.parts.items() if ms >= 0.005
        },
    }


def _request_from(raw: Mapping[str, Any]) -> Request:
    parts: dict[tuple[str, str], float] = {}
    for place, ms in raw["parts"].items():
        stage, _, node = place.partition("@")
        parts[stage, node] = ms
    return Request(**{**raw, "parts": parts})
