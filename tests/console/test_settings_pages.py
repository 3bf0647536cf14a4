"""Settings: granting roles, making and revoking tokens, the schedule, and the trail of it all."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from console.accounts.models import ApiToken, Person
from console.audit.models import AuditRow
from console.oncall.models import Override
from console.oncall.queries import on_call
from tests.console.conftest import make_person

pytestmark = pytest.mark.django_db

TABS = ("", "/people", "/on-call", "/tokens", "/audit", "/api")
ATTACK = '"><script>alert(1)</script>'


@pytest.mark.parametrize("tab", TABS)
def test_a_viewer_sees_every_page_without_its_forms(tab: str) -> None:
    client = Client()
    client.force_login(make_person("vic", "viewer"))

    page = client.get(f"/settings{tab}")

    assert page.status_code == 200
    main = page.content.decode().split("<main")[1].split("</main>")[0]
    # How pages reach somebody, everybody says for themselves.
    assert main.count('method="post"') == (1 if tab == "" else 0)


def test_an_admin_grants_a_role_and_the_last_one_keeps_theirs(client: Client) -> None:
    make_person("bob", "viewer")

    granted = client.post("/settings/people", {"name": "bob", "role": "lead"})
    kept = client.post("/settings/people", {"name": "ada", "role": "viewer"})
    unknown = client.post("/settings/people", {"name": "bob", "role": "king"})

    assert (granted.status_code, kept.status_code, unknown.status_code) == (302, 409, 400)
    assert Person.objects.get(user__username="bob").role == "lead"
    assert Person.objects.get(user__username="ada").role == "admin"
    assert AuditRow.objects.filter(action="grant role", target="bob", role="admin").exists()


def test_a_token_is_shown_once_works_and_is_revoked(client: Client) -> None:
    made = client.post("/settings/tokens", {"name": "ci", "scope": ["read"], "days": "5"})
    secret = str(made.context["secret"])
    headers = {"Authorization": f"Bearer {secret}"}

    assert secret in made.content.decode()
    assert secret not in client.get("/settings/tokens").content.decode()
    assert Client().get("/api/v1/status", headers=headers).status_code == 200
    assert client.post("/settings/tokens/revoke", {"name": "ci"}).status_code == 302
    assert client.post("/settings/tokens/revoke", {"name": "ci"}).status_code == 409
    assert Client().get("/api/v1/status", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("change", "word"),
    [({"name": ""}, "Name"), ({"scope": ["all"]}, "Scope"), ({"days": "0"}, "Days")],
)
def test_a_bad_token_is_refused_with_its_field(
    client: Client, change: dict[str, object], word: str
) -> None:
    asked: dict[str, object] = {"name": "ci", "scope": ["read"], "days": "5"}

    answer = client.post("/settings/tokens", asked | change)

    assert answer.status_code == 400 and f"{word}: " in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_a_lead_sets_the_rotation_and_an_override(client: Client) -> None:
    make_person("bob", "viewer")

    client.post(
        "/settings/on-call",
        {"what": "rotation", "people": "ada, bob", "starts": "2026-01-05T09:00", "days": "7"},
    )
    bad = client.post(
        "/settings/on-call",
        {"what": "override", "person": "bob", "starts": "soon", "ends": "2026-01-05T09:00"},
    )

    assert bad.status_code == 400 and "starts: a time in UTC" in bad.content.decode()
    assert not Override.objects.exists()
    names = client.get("/settings/on-call").content.decode()
    assert "ada" in names and "bob" in names


def test_an_override_is_listed_and_ended_once(client: Client) -> None:
    make_person("bob", "viewer")
    now = timezone.now()
    form = {"what": "override", "person": "bob"}
    for begins_h in (-1, 5):
        times = {"starts": now + timedelta(hours=begins_h), "ends": now + timedelta(hours=9)}
        client.post(
            "/settings/on-call", form | {k: f"{v:%Y-%m-%dT%H:%M}" for k, v in times.items()}
        )
    page = client.get("/settings/on-call").content.decode()
    under_way, to_come = Override.objects.order_by("starts_at")

    ends = [
        client.post("/settings/on-call", {"what": "end override", "override": number}).status_code
        for number in (under_way.pk, to_come.pk, under_way.pk, "9" * 30, "x")
    ]

    assert "End now" in page and "Take back" in page
    assert ends == [302, 302, 400, 400, 400]
    assert on_call(timezone.now()).primary[0].username == "ada"
    assert Override.objects.get().ends_at <= timezone.now()
    assert "End now" not in client.get("/settings/on-call").content.decode()
    assert AuditRow.objects.filter(action="end override").count() == 5


def test_everybody_says_how_pages_reach_them_and_all_can_read_it(client: Client) -> None:
    bob = Client()
    bob.force_login(make_person("bob", "viewer"))

    saved = bob.post("/settings", {"email": "bob@example.org", "slack_id": "U024BE7LH"})

    assert saved.status_code == 302
    people = client.get("/settings/people").content.decode()
    assert "bob@example.org" in people and "U024BE7LH" in people
    assert on_call(timezone.now()).primary[0].email == ""
    client.post("/settings", {"email": "ada@example.org"})
    assert on_call(timezone.now()).primary[0].email == "ada@example.org"
    assert Person.objects.get(user__username="bob").email == "bob@example.org"


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"email": "ada"}, "Mail: an address"),
        ({"email": "a@b.org\nBcc: c@d.org"}, "Mail: an address"),
        ({"email": f"{'a' * 60}@{'b.' * 200}org"}, "Mail: a"),
        ({"slack_id": "@ada"}, "Slack: a member ID"),
        ({"slack_id": "U1234567> <!channel"}, "Slack: a member ID"),
    ],
)
def test_a_way_that_reaches_nobody_is_refused(
    client: Client, form: dict[str, str], told: str
) -> None:
    answer = client.post("/settings", form)

    assert answer.status_code == 400 and told in answer.content.decode()
    assert Person.objects.get().email == ""


def test_what_a_person_typed_is_shown_as_text(client: Client) -> None:
    client.post("/settings/tokens", {"name": ATTACK[:60], "scope": ["read"], "days": "5"})
    client.post("/settings/people", {"name": ATTACK, "role": "lead"})

    for tab in TABS:
        page = client.get(f"/settings{tab}", {"actor": ATTACK}).content.decode()
        assert "<script>alert" not in page
