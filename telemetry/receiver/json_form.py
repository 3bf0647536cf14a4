"""OTLP as JSON, turned into the protobuf form that everything behind it reads.

OTLP's JSON is protobuf's own mapping with one exception: ids are hexadecimal, not base64. So the
ids are rewritten and the library does the rest; unknown fields are ignored, as the standard asks.
"""

from __future__ import annotations

import base64
import json
from typing import Final

from google.protobuf import json_format
from google.protobuf.message import Message

ID_FIELDS: Final = frozenset(
    {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}
)
DEPTH_MAX: Final = 64


class MalformedJson(Exception):
    """The body is not an OTLP request in JSON."""


def parse(body: bytes, message: Message) -> None:
    """Fill `message` from JSON."""
    try:
        document = json.loads(body)
        if not isinstance(document, dict):
            raise MalformedJson("the body is not a JSON object")
        fields = {key: _with_base64_ids(item, 0) for key, item in document.items()}
        json_format.ParseDict(fields, message, ignore_unknown_fields=True)
    except (ValueError, RecursionError, json_format.Error) as error:
        raise MalformedJson(str(error)[:200]) from error


def _with_base64_ids(value: object, depth: int) -> object:
    if depth > DEPTH_MAX:
        raise MalformedJson("nested too deep")
    if isinstance(value, list):
        return [_with_base64_ids(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {
            key: _base64(item)
            if key in ID_FIELDS and isinstance(item, str)
            else _with_base64_ids(item, depth + 1)
            for key, item in value.items()
        }
    return value


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode("ascii")
