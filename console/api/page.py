"""The API for reading: every operation with what it takes, answers and costs in scopes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from console.api.openapi import PREFIX, scope_of
from console.api.registry import PARAMETER, Operation, Schema, operations
from console.settings_tabs import frame
from console.verdict import Verdict, plural


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRow:
    name: str
    rule: str
    is_required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRow:
    anchor: str
    method: str
    path: str
    summary: str
    description: str
    scope: str
    fields: Sequence[FieldRow]
    asked: str  # An example body; empty if it takes none.
    status: int
    answered: str


def rule_of(schema: Schema) -> str:
    """A schema in a few words; what is nested is shown by the example."""
    if "anyOf" in schema:
        return " or ".join(rule_of(each) for each in schema["anyOf"])
    words = [str(schema.get("type", "any"))]
    if "enum" in schema:
        words = [", ".join(map(str, schema["enum"]))]
    if "minimum" in schema or "maximum" in schema:
        words.append(f"{schema.get('minimum', '')} to {schema.get('maximum', '')}")
    if "maxLength" in schema:
        words.append(f"{schema.get('minLength', 0)} to {schema['maxLength']} characters")
    if "description" in schema:
        words.append(str(schema["description"]))
    return ", ".join(words)


def row_of(operation: Operation) -> OperationRow:
    body = operation.body or {}
    required = set(body.get("required", ()))
    fields = [
        FieldRow(name=name, rule=rule_of(schema), is_required=name in required)
        for name, schema in body.get("properties", {}).items()
    ]
    fields += [
        FieldRow(name=f"?{name}", rule=rule_of(schema), is_required=False)
        for name, schema in operation.query.items()
    ]
    answered = operation.reply_example
    return OperationRow(
        anchor=f"{operation.method.lower()}-{operation.name}",
        method=operation.method,
        path=PREFIX + PARAMETER.sub(r"{\2}", operation.path),
        summary=operation.summary,
        description=operation.description,
        scope=scope_of(operation),
        fields=fields,
        asked="" if operation.body_example is None else pretty(operation.body_example),
        status=operation.status,
        answered=answered if isinstance(answered, str) else pretty(answered),
    )


def pretty(example: object) -> str:
    return json.dumps(example, indent=2, ensure_ascii=False)


@never_cache
def api_page(request: HttpRequest) -> HttpResponse:
    every = operations()
    nouns = [
        (noun, [row_of(each) for each in group])
        for noun, group in groupby(every, key=lambda operation: operation.noun)
    ]
    verdict = Verdict(
        state="idle",
        sentence=f"API version 1: {plural(len(every), 'operation')}",
        context="Bearer tokens with scopes. Errors are problem+json and name field and limit.",
    )
    page = frame("settings-api", verdict, nouns=nouns)
    return render(request, "api/page.html", page)
