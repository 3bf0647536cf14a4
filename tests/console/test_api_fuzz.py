"""Every operation of the API meets what no program should send, and answers with a clear no.

From the registry, so that a new operation is met as well: each field of each body in turn is a
value of a wrong kind, size or spelling; so are query parameters, numbers in paths, and bodies that
are no JSON at all. What comes back is never a failure of ours, and a no names the field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from console.accounts.actions import make_api_token
from console.accounts.scopes import Scope
from console.api.openapi import PREFIX
from console.api.registry import PARAMETER, Operation, operations
from console.api.urls import urlpatterns
from tests.console.twins import FleetTwin, QueryTwin

pytestmark = pytest.mark.django_db

assert urlpatterns, "importing them is what registers the operations"
OPERATIONS = operations()
CHANGES = [each for each in OPERATIONS if each.changes]
READS = [each for each in OPERATIONS if not each.changes]


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


TEXTS = ("", "a\0b", "x" * 5000, "../etc", "<script>")
VALUES: tuple[Any, ...] = (None, True, -1, 10**400, [], nested(100), "\ud83d", *TEXTS)
NO_JSON = (
    *(b"", b"[]", b"\xff\xfe{\0}\0", b'{"a": "\xff"}', b'{"a": NaN}', b'{"\\ud83d": 1}'),
    *(b"[" * 9000, b'{"a":' * 3000),
)
PLACES = ("0", "9" * 19, "9" * 5000, "%00")


@pytest.fixture
def program(fleet: FleetTwin, query: QueryTwin) -> Client:
    """One that may do everything."""
    ends = timezone.now() + timedelta(days=1)
    secret = make_api_token("ci", scopes=[Scope.ADMIN], expires_at=ends, made_by="ada")
    return Client(headers={"Authorization": f"Bearer {secret}"})


def bodies(operation: Operation) -> Iterator[tuple[str, bytes]]:
    """The field that is wrong, if one alone is, and the body."""
    for raw in NO_JSON:
        yield "", raw
    example = dict(operation.body_example or {})
    properties = (operation.body or {}).get("properties", example)
    for name in properties:
        for value in VALUES:
            yield name, json.dumps({**example, name: value}).encode()
    for name in example:
        yield name, json.dumps({key: example[key] for key in example if key != name}).encode()


def check(answer: Any, *, told: object) -> None:
    """A clear no, or a yes; what a program may do is not the matter here."""
    assert answer.status_code < 500, (answer.status_code, told)
    if answer.status_code == 400:
        problem = answer.json()
        assert problem["field"] and problem["expected"], (problem, told)


@pytest.mark.parametrize("operation", CHANGES, ids=lambda each: f"{each.method} {each.path}")
def test_no_body_makes_an_operation_fail(operation: Operation, program: Client) -> None:
    path = PREFIX + PARAMETER.sub("1", operation.path)
    refused = set()
    for field, body in bodies(operation):
        answer = program.generic(operation.method, path, body, content_type="application/json")
        check(answer, told=body[:200])
        if answer.status_code == 400:
            refused.add(field)

    assert refused >= {"", *(operation.body or {}).get("required", ())}


@pytest.mark.parametrize("operation", READS, ids=lambda each: each.path)
def test_no_query_makes_an_operation_fail(operation: Operation, program: Client) -> None:
    path = PREFIX + PARAMETER.sub("1", operation.path)
    for name in (*operation.query, "surprise"):
        for text in TEXTS:
            check(program.get(path, {name: text}), told=(name, text[:40]))


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if "<" in each.path],
    ids=lambda each: f"{each.method} {each.path}",
)
def test_no_number_in_a_path_makes_an_operation_fail(operation: Operation, program: Client) -> None:
    body = json.dumps(operation.body_example) if operation.body is not None else ""
    for place in PLACES:
        path = PREFIX + PARAMETER.sub(place, operation.path)
        answer = program.generic(operation.method, path, body, content_type="application/json")
        check(answer, told=place[:40])
        assert answer.status_code >= 400, place[:40]
    assert connection.connection is not None, "the database was reached, and stands"
