"""Incidents, alerts, changes and paging for programs: the API and the commands."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from console.accounts.actions import make_api_token
from console.accounts.scopes import Scope
from console.changes import queries as changes
from console.changes.actions import record_change
from console.changes.observer import files_changed, leader_changed, settings_changed
from console.incidents import inbound, intake, journal, memory, queries
from console.incidents.grouping import Book, Decision
from console.incidents.inbound import UnknownShape
from console.incidents.intake import Desk
from console.incidents.models import Webhook
from console.incidents.recorder import Recorder
from runbooks import clock
from tests.console.alerting import T0, alert, at

ALERT = {
    "status": "firing",
    "labels": {"alertname": "DiskFull", "instance": "db-1", "severity": "critical"},
    "annotations": {"summary": "db-1 is full"},
    "startsAt": "2025-06-15T15:06:00.123456789Z"[:23] + "Z",
    "fingerprint": "c1d2e3",
}
HOOK = {"version": "4", "alerts": [ALERT], "commonLabels": {"team": "db"}}


def sent(client: Client, path: str, body: object, **headers: str) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json", headers=headers)


def opened() -> int:
    return next(iter(journal.write(Book().receive([alert()], at(12))).values()))


def test_an_alertmanager_webhook_becomes_transitions() -> None:
    source, (found,) = inbound.read(json.dumps(HOOK).encode(), now_ms=T0 + 10**10)

    assert (source, found.severity, found.state) == ("alertmanager", "page", "firing")
    assert found.headline == "db-1 is full"
    assert found.rule == "alertmanager:DiskFull:c1d2e3"
    assert found.labels["team"] == "db" and found.labels["source"] == "alertmanager"


def test_grafanas_webhook_is_known_by_what_it_has_more() -> None:
    body = {"orgId": 1, "version": "1", "alerts": [{**ALERT, "values": {"A": 1}}]}

    assert inbound.read(json.dumps(body).encode(), now_ms=T0)[0] == "grafana"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({}, "alerts"),
        ({"version": "3", "alerts": [ALERT]}, "version"),
        ({**HOOK, "alerts": [{**ALERT, "status": "odd"}]}, "alerts[0].status"),
        ({**HOOK, "alerts": [{**ALERT, "labels": {}}]}, "alerts[0].labels.alertname"),
        ({**HOOK, "alerts": [{**ALERT, "startsAt": "soon"}]}, "alerts[0].startsAt"),
        (
            {**HOOK, "alerts": [{**ALERT, "labels": {"alertname": ["a"]}}]},
            "alerts[0].labels.alertname",
        ),
        ({**HOOK, "alerts": [{**ALERT, "fingerprint": {"a": 1}}]}, "alerts[0].fingerprint"),
        ({**HOOK, "alerts": [ALERT] * 5001}, "alerts"),
    ],
)
def test_a_webhook_of_another_shape_is_refused_by_its_field(body: object, field: str) -> None:
    with pytest.raises(UnknownShape) as caught:
        inbound.read(json.dumps(body).encode(), now_ms=T0)

    assert caught.value.field == field


@pytest.mark.django_db
def test_an_unknown_webhook_is_kept_shown_and_answered_with_the_reason(client: Client) -> None:
    answer = sent(client, "/api/v1/alerts", {"what": "is this"})

    assert answer.status_code == 400
    assert answer.json()["field"] == "alerts"
    assert "refused, kept as it came" in client.get("/paging").content.decode()
    row = Webhook.objects.get()
    assert "is this" in client.get(f"/paging/webhooks/{row.pk}").content.decode()


@pytest.mark.django_db
def test_a_foreign_alert_is_kept_until_the_watcher_takes_it(client: Client) -> None:
    answer = sent(client, "/api/v1/alerts", HOOK)

    assert answer.status_code == 202
    assert Webhook.objects.get().taken_at is None
    assert "waits for the watcher" in client.get("/paging").content.decode()


@pytest.mark.django_db
def test_text_that_no_table_can_hold_pages_all_the_same(client: Client) -> None:
    broken = {**ALERT, "annotations": {"summary": "half a pair: \ud83d"}, "fingerprint": "\udc00"}

    answer = sent(client, "/api/v1/alerts", {**HOOK, "alerts": [broken]})
    (found,) = inbound.read(Webhook.objects.get().body.encode(), now_ms=T0)[1]

    assert answer.status_code == 202
    assert (found.headline, found.rule) == ("half a pair: ?", "alertmanager:DiskFull:?")


@pytest.mark.django_db
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_an_alert_that_is_not_utf_8_is_kept_and_refused(client: Client, encoding: str) -> None:
    body = json.dumps({**HOOK, "commonLabels": {"team": "ö"}}, ensure_ascii=False).encode(encoding)

    answer = client.post("/api/v1/alerts", body, content_type="application/json")

    assert (answer.status_code, answer.json()["expected"]) == (400, "JSON in UTF-8")
    assert Webhook.objects.get().refusal == "body: JSON in UTF-8 expected"


@pytest.mark.django_db
def test_a_webhook_that_is_not_understood_any_more_holds_up_none_behind_it() -> None:
    bad = inbound.store(json.dumps(HOOK).encode(), sender="token am")
    Webhook.objects.filter(pk=bad.pk).update(body='{"version": "3"}')
    good = inbound.store(json.dumps({**HOOK, "alerts": [ALERT, ALERT]}).encode(), sender="token am")

    assert (inbound.take(T0), inbound.take(T0)) == (2, 0)
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.refusal, bad.taken_at) == ("alerts: a list with at least one alert expected", None)
    assert good.taken_at is not None


@pytest.mark.django_db
def test_what_a_watcher_took_just_before_it_died_is_neither_lost_nor_told_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def begin(now_ms: int) -> tuple[Desk, list[Decision]]:
        told: list[Decision] = []
        desk = Desk(recorder=Recorder(lambda records: None), tell=told.append)
        monkeypatch.setattr(intake, "desk", desk)
        desk.resume(memory.left_open(now_ms - 1))
        inbound.take_again(now_ms)
        inbound.take(now_ms)
        return desk, told

    inbound.store(json.dumps(HOOK).encode(), sender="token am")
    begin(T0)  # Dies before its record is written.
    desk, told = begin(T0 + 5_000)
    journal.write(told)
    _, told_again = begin(T0 + 10_000)
    late, _ = begin(T0 + 50_000)

    assert len(desk.incidents) == len(told) == 1
    assert told_again == [] and queries.open_count() == 1
    assert [len(incident.firing) for incident in late.incidents] == [1]


@pytest.mark.django_db
def test_programs_act_with_the_right_scope_and_read_who_was_first(client: Client) -> None:
    number, ends = opened(), timezone.now() + timedelta(days=1)
    scopes = [Scope.READ, Scope.INCIDENTS_WRITE]
    secret = make_api_token("ci", scopes=scopes, expires_at=ends, made_by="ada")
    bearer = {"Authorization": f"Bearer {secret}"}
    path = f"/api/v1/incidents/{number}"

    done = sent(Client(), path, {"do": "acknowledge"}, **bearer)
    late = sent(Client(), path, {"do": "acknowledge"}, **bearer)
    wrong = sent(Client(), path, {"do": "resolve", "text": "x"}, **bearer)

    assert done.json()["owner"] == "token ci"
    assert late.status_code == 409 and "by token ci" in late.json()["title"]
    assert (wrong.status_code, wrong.json()["field"]) == (400, "text")
    found = Client().get("/api/v1/incidents", headers=bearer).json()
    assert (found["total"], found["incidents"][0]["state"]) == (1, "acknowledged")
    assert Client().get("/api/v1/incidents/999", headers=bearer).status_code == 404


@pytest.mark.django_db
def test_a_reported_change_is_found_and_a_drills_never_is(client: Client) -> None:
    sent(client, "/api/v1/changes", {"kind": "deploy", "title": "photos 2.4.1"})
    record_change("leader", "leader", "leader: node-1 to node-2", is_drill=True)

    body = client.get("/api/v1/changes").json()
    assert [row["title"] for row in body["changes"]] == ["photos 2.4.1"]
    assert body["heard"].startswith("0 of 4 sources heard from; silent: settings")
    now_ms = clock.now_ms()
    assert len(changes.between(now_ms - 60_000, now_ms)) == 1


def test_what_changed_is_told_from_two_looks() -> None:
    assert settings_changed({"A": "1", "version": "1"}, {"A": "2", "version": "1"}) == [
        ("setting", "A: 1 became 2", "fleet", {"before": "1", "after": "2"})
    ]
    (moved,) = leader_changed({"leader": "node-1", "term": "4"}, {"leader": "node-2", "term": "5"})
    assert moved[1:3] == ("leader: node-1 to node-2, term 5", "node-2")
    assert leader_changed({"leader": "node-1"}, {"leader": "node-1"}) == []
    assert [change[1] for change in files_changed({"a": "1"}, {"a": "2", "b": "1"})] == [
        "a was edited",
        "b was added",
    ]


def run(*words: str) -> tuple[str, int]:
    out = io.StringIO()
    try:
        call_command(*words, stdout=out, stderr=out)
    except SystemExit as end:
        return out.getvalue(), int(end.code or 0)
    return out.getvalue(), 0


@pytest.mark.django_db
def test_the_command_acts_and_its_exit_code_says_whether_it_did() -> None:
    number = str(opened())

    assert run("incident", "list")[1] == 1
    assert run("incident", "ack", number)[1] == 0
    said, code = run("incident", "ack", f"INC-{number}")
    assert code == 1 and "it is acknowledged by terminal" in said
    assert run("incident", "note", number, "looking")[1] == 0
    assert run("incident", "show", "x")[1] == 2
    assert json.loads(run("incident", "resolve", number, "--json")[0])["incident"]["state"] == (
        "resolved"
    )
    assert run("incident", "list") == ("0 open\n", 0)
    assert run("incident", "postmortem", number)[0].startswith(f"# INC-{number}")
    assert queries.get(int(number)).owner == "terminal"


@pytest.mark.django_db
def test_paging_without_a_channel_has_an_exit_code_of_its_own() -> None:
    assert run("page", "test")[1] == 3
    assert run("page", "status")[1] == 3
