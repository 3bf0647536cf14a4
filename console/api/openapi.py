"""The API as an OpenAPI 3.1 document, written from the registry and the table of access."""

from collections.abc import Mapping
from typing import Any

from console.access import RULES, need_of
from console.api.limits import KEY_CHARS_MAX
from console.api.problems import CONTENT_TYPE
from console.api.registry import (
    PARAMETER,
    Call,
    Operation,
    Reply,
    Schema,
    endpoint,
    obj,
    operations,
    parameters,
)
from console.release import VERSION

PREFIX = "/api/v1/"
TEXT = {"type": "string"}
CONVERTERS: Mapping[str, Schema] = {
    "number": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
}
PROBLEM = obj(
    {"type": TEXT, "status": {"type": "integer"}, "title": TEXT, "detail": TEXT},
    {
        "field": {"type": "string", "description": "what in the request was wrong"},
        "expected": {"type": "string", "description": "what is allowed there"},
    },
)
NO_BODY_STATUS = {"204", "304"}


def document() -> dict[str, Any]:
    """The whole document. Every operation of the registry is in it."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations():
        path = PREFIX + PARAMETER.sub(r"{\2}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": VERSION,
            "description": "Bearer tokens with scopes; errors are problem+json (RFC 9457).",
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": PROBLEM},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Problem": {
                    "description": "Refused: which field, what is allowed.",
                    "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
            },
        },
    }


def scope_of(operation: Operation) -> str:
    """The scope that a token needs, as the table has it."""
    need = need_of(RULES[operation.name], operation.method)
    assert need is not None and need.scope is not None, f"{operation.name} is no API rule"
    return need.scope.value


def _operation(operation: Operation) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}-{operation.name}",
        "summary": operation.summary,
        "description": operation.description,
        "tags": [operation.noun],
        "security": [{"bearer": [scope_of(operation)]}],
        "parameters": _parameters(operation),
        "responses": {
            str(operation.status): {
                "description": operation.summary,
                "content": {
                    operation.reply_type: {
                        "schema": operation.reply,
                        "example": operation.reply_example,
                    }
                },
            },
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if operation.body is not None:
        said["requestBody"] = {
            "required": True,
            "description": f"At most {operation.body_bytes_max} bytes.",
            "content": {
                "application/json": {
                    "schema": operation.body,
                    "example": operation.body_example,
                }
            },
        }
    return said


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": CONVERTERS.get(kind, TEXT)}
        for name, kind in parameters(operation.path).items()
    ]
    rows += [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in operation.query.items()
    ]
    if operation.changes:
        rows.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "The same key with the same request is done once, for 24 hours.",
                "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARS_MAX},
            }
        )
    return rows


@endpoint(
    "GET",
    "openapi.json",
    name="api-openapi",
    summary="This document.",
    reply={"type": "object", "required": ["openapi", "info", "paths"]},
    reply_example={"openapi": "3.1.0", "info": {}, "paths": {}},
)
def get_document(call: Call) -> Reply:
    """The API as an OpenAPI 3.1 document."""
    return Reply(body=document())
