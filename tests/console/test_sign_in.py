from __future__ import annotations

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from console.accounts.actions import hash_secret, make_sign_in_link, spend_sign_in_link
from console.accounts.models import SignInLink
from console.audit.models import AuditRow

pytestmark = pytest.mark.django_db


def link_secret(name: str = "ada") -> str:
    out = StringIO()
    call_command("login-link", name, stdout=out)
    address, _, secret = out.getvalue().strip().partition("#")
    assert address == "http://127.0.0.1:8000/sign-in"
    return secret


def test_a_link_signs_in_the_person_it_was_made_for() -> None:
    client = Client()

    answer = client.post("/sign-in", {"code": link_secret("grace")})

    assert answer.status_code == 302 and answer["Location"] == "/"
    assert client.get("/settings").context["user"].username == "grace"
    assert list(AuditRow.objects.values_list("actor", "action"))[:2] == [
        ("grace", "sign in"),
        ("terminal", "make sign-in link"),
    ]


def test_a_link_works_once() -> None:
    secret = link_secret()
    Client().post("/sign-in", {"code": secret})

    again = Client().post("/sign-in", {"code": secret})

    assert again.status_code == 403
    assert "doesn&#x27;t work" in again.content.decode() or "doesn't work" in again.content.decode()
    assert "_auth_user_id" not in again.client.session


def test_a_link_expires_after_ten_minutes(person: User) -> None:
    made_at = timezone.now()
    secret = make_sign_in_link("ada", now=made_at)

    late = spend_sign_in_link(secret, now=made_at + timedelta(minutes=10))
    in_time = spend_sign_in_link(secret, now=made_at + timedelta(minutes=9, seconds=59))

    assert late is None
    assert in_time == person


def test_a_link_of_someone_who_was_shut_out_is_refused(person: User) -> None:
    secret = make_sign_in_link("ada", now=timezone.now())
    User.objects.filter(pk=person.pk).update(is_active=False)

    assert spend_sign_in_link(secret, now=timezone.now()) is None


def test_only_the_hash_of_a_secret_is_stored() -> None:
    secret = link_secret()

    link = SignInLink.objects.get()

    assert link.secret_hash == hash_secret(secret)
    assert secret not in str(vars(link))


def test_a_foreign_host_name_is_refused() -> None:
    answer = Client().post("/sign-in", {"code": link_secret()}, headers={"host": "evil.example"})

    assert answer.status_code == 400
    assert SignInLink.objects.get().used_at is None


def test_signing_in_needs_the_csrf_token() -> None:
    client = Client(enforce_csrf_checks=True)

    answer = client.post("/sign-in", {"code": link_secret()})

    assert answer.status_code == 403
    assert SignInLink.objects.get().used_at is None


@pytest.mark.parametrize(
    ("wanted", "goes_to"),
    [("/runs", "/runs"), ("//evil.example/", "/"), ("https://evil.example/", "/")],
)
def test_the_next_page_is_always_ours(wanted: str, goes_to: str) -> None:
    answer = Client().post("/sign-in", {"code": link_secret(), "next": wanted})

    assert answer["Location"] == goes_to


def test_signing_out_ends_the_session(client: Client) -> None:
    client.post("/sign-out")

    assert client.get("/")["Location"].startswith("/sign-in")


def test_a_bad_name_is_refused_with_the_rule() -> None:
    with pytest.raises(Exception, match=re.escape("1 to 60 of letters")):
        call_command("login-link", "a b")
    with pytest.raises(Exception, match="is of a part of Holdfast"):
        call_command("login-link", "Terminal")
    assert not User.objects.exists()


def test_the_console_has_no_password_anywhere() -> None:
    link_secret("ada")

    assert not User.objects.get(username="ada").has_usable_password()
