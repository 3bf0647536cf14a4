"""Requests that a foreign page or a liar could make somebody's browser send."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from console.accounts.actions import make_sign_in_link
from console.accounts.models import Person
from console.audit.models import AuditRow

pytestmark = pytest.mark.django_db

FORMS = ("/demo", "/profiles", "/runs/1/cancel", "/settings/people", "/settings/tokens")
ORIGINS = (
    "null",
    "https://evil.example",
    "http://testserver.evil.example",
    "https://testserver",
    "http://testserver:81",
)


@pytest.fixture
def browser(db: None) -> Client:
    """An admin's browser, which checks what a real server checks, and holds the CSRF cookie."""
    user = User.objects.create_user("ada")
    Person.objects.create(user=user, role="admin")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    client.get("/settings/tokens")
    return client


def csrf(client: Client) -> str:
    return client.cookies["holdfast_csrf"].value


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_its_token_does_nothing(browser: Client, path: str) -> None:
    for body in ({}, {"csrfmiddlewaretoken": "x" * 32}):
        assert browser.post(path, body).status_code == 403

    assert not AuditRow.objects.exists()


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("path", FORMS)
def test_a_form_from_another_origin_does_nothing(browser: Client, path: str, origin: str) -> None:
    body = {"csrfmiddlewaretoken": csrf(browser)}

    answer = browser.post(path, body, headers={"Origin": origin})

    assert answer.status_code == 403 and not AuditRow.objects.exists()


@pytest.mark.parametrize("origin", ORIGINS)
def test_the_api_refuses_a_session_from_another_origin(browser: Client, origin: str) -> None:
    answer = browser.post(
        "/api/v1/profiles",
        '{"target": "node-1"}',
        content_type="application/json",
        headers={"Origin": origin, "X-CSRFToken": csrf(browser)},
    )

    assert answer.status_code == 403 and not AuditRow.objects.exists()
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_signing_in_gives_a_session_of_its_own() -> None:
    """Whoever planted a session before doesn't hold the one after."""
    client = Client()
    client.session.save()
    planted = client.session
    planted["planted"] = True
    planted.save()
    client.cookies["holdfast_session"] = str(planted.session_key)

    client.post("/sign-in", {"code": make_sign_in_link("ada", now=timezone.now())})

    assert client.cookies["holdfast_session"].value != planted.session_key
    thief = Client()
    thief.cookies["holdfast_session"] = str(planted.session_key)
    assert thief.get("/")["Location"].startswith("/sign-in")


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "http:evil.example",
        "///evil.example",
    ],
)
def test_after_signing_in_nobody_is_sent_elsewhere(wanted: str) -> None:
    code = make_sign_in_link("ada", now=timezone.now())

    answer = Client().post("/sign-in", {"code": code, "next": wanted})

    assert answer["Location"] == "/"


@pytest.mark.parametrize("path", ["/", "/sign-in", "/api/v1/status", "/healthz"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "a b", "[::1"])
def test_a_host_that_is_not_ours_is_refused_without_naming_it(path: str, host: str) -> None:
    answer = Client().get(path, headers={"host": host})

    assert answer.status_code == 400
    assert host not in answer.content.decode()
