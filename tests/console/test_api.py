from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from console.accounts.models import ApiToken
from console.audit.models import AuditRow
from runbooks.models import Run
from tests.console.twins import FleetTwin, QueryTwin

pytestmark = pytest.mark.django_db


@pytest.fixture
def token(db: None) -> str:
    out = StringIO()
    call_command("token", "ci", "--scope", "read", "--scope", "runs:write", stdout=out)
    return out.getvalue().strip()


@pytest.fixture
def post(token: str) -> Callable[..., Any]:
    def send(body: object, **headers: str) -> Any:
        text = body if isinstance(body, str) else json.dumps(body)
        return Client(enforce_csrf_checks=True).post(
            "/api/v1/profiles",
            text,
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"}
            | {name.replace("_", "-"): value for name, value in headers.items()},
        )

    return send


def test_a_profile_is_started_and_its_run_named(post: Callable[..., Any]) -> None:
    answer = post({"target": "node-1", "seconds": 3})

    run = Run.objects.get()
    assert answer.status_code == 201
    assert answer["Location"] == f"/runs/{run.pk}" == answer.json()["url"]
    assert run.actor == "token ci" and run.params["seconds"] == 3
    assert AuditRow.objects.latest("id").action == "start profile"


def test_a_second_profile_of_one_target_names_the_first(post: Callable[..., Any]) -> None:
    first = post({"target": "node-1"})

    answer = post({"target": "node-1"})

    assert answer.status_code == 409
    assert f"run {first.json()['run']}" in answer.json()["title"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (" ", "body"),
        ("[]", "body"),
        ("{", "body"),
        ("[" * 15_000, "body"),
        ('{"target": "node-1", "target": "node-2"}', "body"),
        ('{"target": "node-1", "seconds": NaN}', "body"),
        ({}, "target"),
        ({"target": 1}, "target"),
        ({"target": "../etc"}, "target"),
        ({"target": "node-1", "seconds": 61}, "seconds"),
        ({"target": "node-1", "seconds": "3"}, "seconds"),
        ({"target": "node-1", "rate_hz": 0}, "rate_hz"),
        ({"target": "node-1", "pid": 1}, "pid"),
    ],
)
def test_bad_input_is_refused_with_its_field_and_limit(
    post: Callable[..., Any], body: object, field: str
) -> None:
    answer = post(body)

    problem = answer.json()
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert problem["field"] == field and problem["expected"]
    assert not Run.objects.exists()


def test_a_body_over_the_limit_is_413_before_it_is_read(post: Callable[..., Any]) -> None:
    answer = post(" " * 100_000)

    assert answer.status_code == 413
    assert answer.json()["expected"] == "at most 16384 bytes"


def test_a_missing_wrong_or_revoked_token_is_401(token: str) -> None:
    ApiToken.objects.update(revoked_at=timezone.now())

    for header in ({}, {"Authorization": "Bearer nope"}, {"Authorization": f"Bearer {token}"}):
        answer = Client().get("/api/v1/status", headers=header)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_persons_session_needs_the_csrf_token(person: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person)

    answer = client.post("/api/v1/profiles", "{}", content_type="application/json")

    assert answer.status_code == 403
    assert answer.json()["field"] == "X-CSRFToken"


def test_other_methods_and_other_types_are_refused(token: str) -> None:
    bearer = {"Authorization": f"Bearer {token}"}

    method = Client().delete("/api/v1/profiles", headers=bearer)
    kind = Client().post("/api/v1/profiles", "x", content_type="text/plain", headers=bearer)

    assert (method.status_code, method["Allow"]) == (405, "GET, POST")
    assert kind.status_code == 415


def test_status_names_what_is_blind(client: Client, fleet: FleetTwin) -> None:
    fleet.down = {"node-2", "telemetry"}

    body = client.get("/api/v1/status").json()

    blind = {part["name"] for part in body["parts"] if part["sight"] == "blind"}
    assert blind == {"node-2", "telemetry"} and body["complete"] is False
    assert body["nodes"][2] == {
        "name": "node-2",
        "fresh": False,
        "as_of_ms": None,
        "role": None,
        "term": None,
        "leader": None,
        "commit_index": None,
        "applied_index": None,
    }


def test_the_list_of_profiles_says_when_telemetry_is_away(client: Client, query: QueryTwin) -> None:
    query.down = True

    answer = client.get("/api/v1/profiles")

    assert answer.status_code == 503 and answer["Retry-After"]


def test_a_token_is_stored_hashed_and_its_name_used_once(token: str) -> None:
    assert token.startswith("hft_") and token not in ApiToken.objects.get().secret_hash

    with pytest.raises(CommandError, match="exists"):
        call_command("token", "ci")
