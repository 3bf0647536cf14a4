"""What holds for every operation of the API, whoever wrote it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from jsonschema import Draft202012Validator

from console.access import RULES
from console.accounts.actions import make_api_token
from console.accounts.scopes import Scope
from console.api import journal
from console.api.bodies import check
from console.api.journal import Asked
from console.api.limits import CLAIM_S, REPLAY_HOURS
from console.api.models import FirstAnswer
from console.api.openapi import PREFIX, document
from console.api.problems import Refusal
from console.api.registry import PARAMETER, Operation, obj, operations, whole
from console.api.urls import urlpatterns
from runbooks.models import Run
from tests.console.twins import QueryTwin

pytestmark = pytest.mark.django_db

assert urlpatterns, "importing them is what registers the operations"
OPERATIONS = operations()
BY_ID = [f"{each.method} {each.path}" for each in OPERATIONS]


@pytest.fixture
def program(db: None) -> Client:
    """A client that may everything with a token, and forgets no CSRF check."""
    return program_called("ci")


def program_called(name: str) -> Client:
    ends = timezone.now() + timedelta(days=1)
    secret = make_api_token(name, scopes=[Scope.ADMIN], expires_at=ends, made_by="ada")
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {secret}"})


def post(client: Client, body: object, *, key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(
        "/api/v1/profiles", json.dumps(body), content_type="application/json", headers=headers
    )


def test_the_document_and_the_table_name_the_same_operations() -> None:
    said = {
        (operation["operationId"], path)
        for path, methods in document()["paths"].items()
        for operation in methods.values()
    }
    table = {
        f"{method.lower()}-{name}"
        for name, rule in RULES.items()
        if rule.is_api
        for method in rule.needs
    }

    assert {operation_id for operation_id, _ in said} == table
    assert all(path.startswith(PREFIX) and "<" not in path for _, path in said)


@pytest.mark.parametrize("operation", OPERATIONS, ids=BY_ID)
def test_the_examples_of_an_operation_are_as_its_schemas_say(operation: Operation) -> None:
    if operation.reply_type == "application/json":
        Draft202012Validator(operation.reply).validate(operation.reply_example)
    if operation.body is not None and operation.body_example is not None:
        check(operation.body_example, operation.body)


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if each.body is not None and not each.body_is_open],
    ids=lambda each: f"{each.method} {each.path}",
)
def test_an_unknown_field_is_refused_by_name(operation: Operation, program: Client) -> None:
    body = {**(operation.body_example or {}), "surprise": 1}
    path = PREFIX + PARAMETER.sub("1", operation.path)

    answer = program.generic(
        operation.method, path, json.dumps(body), content_type="application/json"
    )

    assert answer.status_code == 400
    assert answer.json()["field"] == "surprise" and "only" in answer.json()["expected"]


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if each.method == "GET" and "<" not in each.path],
    ids=lambda each: each.path,
)
def test_a_real_answer_is_as_the_document_says(operation: Operation, program: Client) -> None:
    answer = program.get(PREFIX + operation.path)

    assert answer.status_code == operation.status
    assert answer["Content-Type"].startswith(operation.reply_type)
    if operation.reply_type == "application/json":
        Draft202012Validator(operation.reply).validate(answer.json())


def test_every_reference_of_the_document_leads_somewhere() -> None:
    whole_document = document()
    text = json.dumps(whole_document)
    references = {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}

    assert references
    for reference in references:
        place: Any = whole_document
        for step in reference.split("/"):
            place = place[step]


def test_the_same_key_starts_one_run_and_brings_the_first_answer(program: Client) -> None:
    first = post(program, {"target": "node-1"}, key="k1")
    second = post(program, {"target": "node-1"}, key="k1")

    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert second["Location"] == first["Location"] and second["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert Run.objects.count() == 1


def test_the_same_key_with_another_body_is_422(program: Client) -> None:
    post(program, {"target": "node-1"}, key="k1")

    other = post(program, {"target": "node-2"}, key="k1")

    assert other.status_code == 422 and other.json()["field"] == "Idempotency-Key"
    assert Run.objects.count() == 1


def test_two_programs_may_choose_the_same_key(program: Client) -> None:
    first = post(program, {"target": "node-1"}, key="k1")
    second = post(program_called("cd"), {"target": "node-2"}, key="k1")

    assert first.json()["run"] != second.json()["run"]


def test_a_refusal_frees_the_key(program: Client) -> None:
    busy = post(program, {"target": "node-1"})
    refused = post(program, {"target": "node-1"}, key="k1")
    Run.objects.filter(pk=busy.json()["run"]).delete()

    again = post(program, {"target": "node-1"}, key="k1")

    assert refused.status_code == 409 and again.status_code == 201


@pytest.mark.parametrize("key", ["", "a b", "x" * 101, "é"])
def test_a_bad_key_is_refused_with_the_rule(program: Client, key: str) -> None:
    answer = post(program, {"target": "node-1"}, key=key)

    assert answer.status_code == 400 and "1 to 100" in answer.json()["expected"]
    assert not Run.objects.exists()


def test_a_claim_is_for_one_a_dead_one_is_taken_over_and_all_end_after_a_day() -> None:
    now = timezone.now()
    asked = Asked(caller="ci", key="k", request_hash="h")

    assert journal.claim(asked, now=now) is None
    with pytest.raises(Refusal) as refusal:
        journal.claim(asked, now=now + timedelta(seconds=CLAIM_S - 1))
    assert refusal.value.status == 409 and refusal.value.retry_after_s > 0
    later = now + timedelta(seconds=CLAIM_S)
    assert journal.claim(asked, now=later) is None
    with pytest.raises(Refusal):
        journal.claim(asked, now=later)
    journal.keep(asked, status=201, headers={}, body="{}")
    kept = journal.claim(asked, now=later)
    assert kept is not None and kept.status == 201
    assert journal.claim(asked, now=later + timedelta(hours=REPLAY_HOURS, seconds=1)) is None
    assert FirstAnswer.objects.count() == 1


def test_an_unchanged_resource_is_304(program: Client, query: QueryTwin) -> None:
    first = program.get("/api/v1/profiles")

    again = program.get("/api/v1/profiles", headers={"If-None-Match": first["ETag"]})
    other = program.get("/api/v1/profiles", headers={"If-None-Match": '"other"'})

    assert again.status_code == 304 and not again.content and again["ETag"] == first["ETag"]
    assert other.status_code == 200


def test_an_unknown_query_parameter_is_refused_by_name(program: Client) -> None:
    answer = program.get("/api/v1/status?verbose=1")

    assert answer.status_code == 400 and answer.json()["field"] == "verbose"


@pytest.mark.parametrize(
    ("value", "field", "expected"),
    [
        ({}, "a", "a whole number from 1 to 5"),
        ({"a": 0}, "a", "a whole number from 1 to 5"),
        ({"a": True}, "a", "a whole number from 1 to 5"),
        ({"a": 1, "b": {"c": 1, "x": 2}}, "b.x", "only c"),
        ({"a": 1, "b": {}}, "b.c", "a whole number from 0 to 9"),
        ({"a": 9, "z": 1}, "z", "only a, b"),
    ],
)
def test_a_schema_s_refusal_names_the_field_and_what_is_allowed(
    value: dict[str, Any], field: str, expected: str
) -> None:
    schema = obj({"a": whole(1, 5)}, {"b": obj({"c": whole(0, 9)})})

    with pytest.raises(Refusal) as refusal:
        check(value, schema)

    assert (refusal.value.field, refusal.value.expected) == (field, expected)
