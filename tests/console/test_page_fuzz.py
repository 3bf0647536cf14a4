"""Forms and addresses of pages meet what no person would type, and answer with a clear no.

One field at a time is wrong and the others are right, so that each is reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from runbooks import clock, policies
from runbooks.models import PolicyStart, RunPolicy
from tests.console.examples import EXAMPLES
from tests.console.test_incident_pages import opened
from tests.console.twins import QueryTwin

pytestmark = pytest.mark.django_db

WRONG = ("", "a\0b", "9" * 19, "9" * 4900, "nan", "/\t/evil.example")
FORMS: Mapping[str, Mapping[str, str]] = {
    "demo": {"want": "on"},
    "tour-move": {"step": "2", "want": "go"},
    "tour-act": {"fault": "x", "want": "break"},
    "profiles": {"target": "node-1", "seconds": "3", "rate_hz": "10"},
    "drills": {"scenario": "failover-leader", "hold_s": "5"},
    "incident-silence": {"matchers": "a=b", "hours": "1", "reason": "known"},
    "runbook-start": {"target": "node-1", "mode": "dry", "subject": "incident:1"},
    "policy-allow": {"finding_kind": "fsync_stall", "runbook": "leader-fsync-stall"},
    "policy-forbid": {"finding_kind": "fsync_stall", "runbook": "leader-fsync-stall"},
    "settings-people": {"name": "ada", "role": "admin"},
    "settings-on-call": {"people": "ada", "starts": "2026-11-24T09:00", "days": "7"},
    "settings-tokens": {"name": "ci", "scope": "read", "days": "3"},
    "settings-token-revoke": {"name": "ci"},
    "run-approve": {"plan_hash": "a", "reason": "x", "alone": "1"},
    "run-settle": {"happened": "yes"},
    "sign-in": {"code": "x", "next": "/"},
}
DEEDS: Mapping[str, Mapping[str, str]] = {
    "note": {"text": "a"},
    "assign": {"role": "owner", "person": "ada"},
    "severity": {"severity": "page"},
    "escalate": {"reason": "a"},
    "merge": {"into": "2"},
}
OVERRIDE = {"what": "override", "person": "ada", "starts": "2026-11-24T09:00"}
ASKED: Mapping[str, tuple[str, ...]] = {
    "now": ("tour",),
    "incidents": ("text", "page", "state", "owner"),
    "runs": ("show",),
    "traces": ("q",),
    "settings-audit": ("actor", "before", "via"),
    "search": ("q",),
    "tour-strip": ("step",),
    "hand-over": ("as",),
}


def wrong(form: Mapping[str, str]) -> Iterator[dict[str, str]]:
    for name in form:
        for value in WRONG:
            yield {**form, name: value}


def post(client: Client, path: str, form: Mapping[str, str]) -> Any:
    answer = client.post(path, form)
    assert answer.status_code < 500, (path, form)
    return answer


@pytest.mark.parametrize("name", FORMS)
def test_no_form_makes_a_page_fail(name: str, client: Client) -> None:
    policies.allow("fsync_stall", "leader-fsync-stall", actor="ada")
    arguments = {**EXAMPLES.get(name, {})}
    if "incident_id" in arguments:
        arguments["incident_id"] = opened()

    statuses = {
        post(client, reverse(name, kwargs=arguments), form).status_code
        for form in wrong(FORMS[name])
    }

    assert statuses <= {200, 302, 400, 403, 404, 409}, statuses


@pytest.mark.parametrize("deed", DEEDS)
def test_no_form_makes_a_deed_on_an_incident_fail(deed: str, client: Client) -> None:
    number = opened()

    statuses = [
        post(client, f"/incidents/{number}/do/{deed}", form).status_code
        for form in wrong(DEEDS[deed])
    ]

    assert 400 in statuses and set(statuses) <= {302, 400, 404}, statuses


def test_no_form_makes_the_schedule_fail(client: Client) -> None:
    form = {**OVERRIDE, "ends": "2026-11-29T09:00"}

    assert {post(client, "/settings/on-call", each).status_code for each in wrong(form)} <= {
        302,
        400,
    }


@pytest.mark.parametrize("value", WRONG)
def test_who_holds_a_start_is_sent_to_a_page_of_ours(value: str, client: Client) -> None:
    policies.allow("fsync_stall", "leader-fsync-stall", actor="ada")
    start = PolicyStart.objects.create(
        policy=RunPolicy.objects.get(),
        subject="incident:1",
        entity="node-1",
        due_at=clock.from_ms(clock.now_ms()),
    )

    answer = post(client, f"/policies/{start.pk}/hold", {"back": value})

    assert answer["Location"] == "/runs"


@pytest.mark.parametrize("name", ASKED)
def test_no_address_makes_a_page_fail(name: str, client: Client, query: QueryTwin) -> None:
    for field in ASKED[name]:
        for value in WRONG:
            answer = client.get(reverse(name), {field: value})
            assert answer.status_code in (200, 302, 400, 404), (field, value[:40])
