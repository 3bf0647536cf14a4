"""A profile as it is posted to the query port: checked field by field, then one row."""

from __future__ import annotations

import json
import re
from typing import Final

from telemetry.receiver.http import Refused

PROFILE_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def profile_row(body: bytes) -> tuple[object, ...]:
    """A posted profile as a row; what has no column goes into its details."""
    try:
        given = json.loads(body)
    except ValueError:
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(given, dict):
        raise Refused(400, "the body is not a JSON object")
    expected: dict[str, type | tuple[type, ...]] = {
        "id": str,
        "target": str,
        "started_ms": int,
        "seconds": (int, float),
        "rate_hz": int,
        "samples": int,
        "pause_percent": (int, float),
        "collapsed": str,
    }
    for name, kind in expected.items():
        if not isinstance(given.get(name), kind) or isinstance(given.get(name), bool):
            raise Refused(400, f"{name}: missing, or not what is expected")
    if not PROFILE_ID.fullmatch(given["id"]):
        raise Refused(400, "id: 1 to 128 letters, digits, or any of _ . : -")
    if not 0 <= given["started_ms"] <= 1 << 42 or not 0 <= given["rate_hz"] <= 10_000:
        raise Refused(400, "started_ms or rate_hz: out of range")
    details = {name: value for name, value in given.items() if name not in expected}
    return (
        given["id"],
        given["started_ms"],
        given["target"][:256],
        float(given["seconds"]),
        given["rate_hz"],
        max(0, given["samples"]),
        float(given["pause_percent"]),
        json.dumps(details),
        given["collapsed"],
    )
