"""Reading a JSON body from a stranger: bounded, strict, and each error names its field."""

import json
from collections.abc import Mapping
from typing import Any

BODY_BYTES_MAX = 16 * 1024


class BadBody(Exception):
    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected} expected")
        self.field = field
        self.expected = expected


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise BadBody("body", "each name once")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise BadBody("body", f"JSON without {name}")


def read_object(body: bytes, *, known: frozenset[str]) -> Mapping[str, Any]:
    """The body's object, whose names are all `known`."""
    if len(body) > BODY_BYTES_MAX:
        raise BadBody("body", f"at most {BODY_BYTES_MAX} bytes")
    try:
        value = json.loads(body, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadBody("body", "a JSON object") from error
    if not isinstance(value, dict):
        raise BadBody("body", "a JSON object")
    for name in value:
        if name not in known:
            raise BadBody(name[:60], f"only {', '.join(sorted(known))}")
    return value
