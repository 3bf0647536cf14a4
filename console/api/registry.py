"""What the API can do: every operation with its schemas, in one registry.

    @endpoint("POST", "profiles", name="api-profiles", summary="Start a profile.",
              body=START, body_example={...}, status=201, reply=STARTED, reply_example={...})
    def start_profile(call: Call) -> Reply: ...

`name` is the route's name in `console.access.RULES`, where role and scope stand; several methods of
one path share it. `path` is below /api/v1/ with Django's converters. A body's schema lists all
names it takes (`obj` sees to that), so that an unknown one is refused by name. The function gets
a checked body and raises `Refusal`, or one of the `refusals`: exceptions that know their `status`
and, where it is about one, `field` and `expected`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator

from console.access import Caller
from console.api.limits import BODY_BYTES_MAX
from runbooks.errors import RunError

Schema = Mapping[str, Any]
Json = Mapping[str, Any]

NOTHING: Json = {}
PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")


def obj(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object that has the required names, may have the optional ones, and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def text(chars_max: int, **more: Any) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": chars_max, **more}


def whole(least: int, most: int, **more: Any) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most, **more}


def one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def listed(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def maybe(schema: Schema) -> Schema:
    """`schema` or null."""
    return {"anyOf": [schema, {"type": "null"}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, let in and checked."""

    caller: Caller
    args: Mapping[str, Any]  # Of the path.
    query: Mapping[str, Any]  # As their schemas have them; what wasn't given is not in it.
    body: Json
    raw: bytes = b""  # The body as it came, for whoever keeps it or checks a signature.
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None  # Same caller and Idempotency-Key, same key; 64 characters.

    @property
    def actor(self) -> str:
        return self.caller.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`body` is sent as JSON, or a text as `content_type`."""

    body: Json | str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


Deed = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    name: str
    summary: str
    deed: Deed
    description: str = ""
    body: Schema | None = None
    body_example: Json | None = None
    body_is_open: bool = False
    body_bytes_max: int = BODY_BYTES_MAX
    query: Mapping[str, Schema] = field(default_factory=dict)
    status: int = 200
    reply: Schema
    reply_example: Json | str
    reply_type: str = "application/json"
    refusals: tuple[type[Exception], ...] = (RunError,)

    @property
    def noun(self) -> str:
        return self.path.split("/", 1)[0].removesuffix(".json")

    @property
    def changes(self) -> bool:
        return self.method != "GET"


_OPERATIONS: dict[tuple[str, str], Operation] = {}


def endpoint(method: str, path: str, **said: Any) -> Callable[[Deed], Deed]:
    """Register a function as an operation; the names are those of `Operation`."""

    def register(deed: Deed) -> Deed:
        operation = Operation(
            method=method,
            path=path,
            deed=deed,
            description=said.pop("description", (deed.__doc__ or "").strip()),
            **said,
        )
        _check(operation)
        _OPERATIONS[(path, method)] = operation
        return deed

    return register


def _check(operation: Operation) -> None:
    key = (operation.path, operation.method)
    assert key not in _OPERATIONS, f"registered twice: {key}"
    assert operation.method in ("GET", "POST", "PUT", "PATCH", "DELETE"), key
    assert operation.summary.endswith("."), f"{key}: a summary is a sentence"
    for schema in (operation.body, operation.reply, *operation.query.values()):
        if schema is not None:
            Draft202012Validator.check_schema(schema)
    if operation.body is not None and not operation.body_is_open:
        assert operation.body.get("additionalProperties") is False, f"{key}: use obj()"
    if operation.body is not None:
        assert operation.body_example is not None, f"{key}: a body needs an example"


def operations() -> tuple[Operation, ...]:
    """All there are, by path and method. Complete once `console.api.urls` is imported."""
    return tuple(_OPERATIONS[key] for key in sorted(_OPERATIONS))


def parameters(path: str) -> Mapping[str, str]:
    """Names of the path's arguments and their converters."""
    return {name: converter or "str" for converter, name in PARAMETER.findall(path)}
