"""What a stranger wrote is text on every page: each free text of the console holds a trap.

The pages are parsed as a browser parses them, and no element may stand there that the trap would
have made: an image, a script without an address, an attribute that runs something. That the traps
lie on pages at all is asserted field by field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from console.access import RULES
from console.accounts.actions import make_api_token
from console.accounts.models import Person
from console.accounts.scopes import Scope
from console.audit.actions import record
from console.changes.actions import record_change
from console.incidents import actions, inbound, journal
from console.incidents.grouping import Book
from console.notify.models import Delivery
from console.triage import actions as triage
from runbooks import actions as runs
from runbooks import clock
from runbooks.models import Run, RunPolicy
from tests.console.examples import EXAMPLES
from tests.console.triage.conftest import make_claim, make_findings
from tests.console.twins import QueryTwin
from tests.runbooks.runbook_files import HEAD, own_runbook

pytestmark = pytest.mark.django_db

TRAP = "\"'><img src=x onerror=alert(1)><script>alert(1)</script>{{7*7}}{% now 'Y' %}"
READ = '  - {id: look, title: "TITLE", action: raft.status}\n'
OWN_HEAD = HEAD.replace("A runbook of tests", '"TITLE"').replace("For tests.", '"SUMMARY"')


class Traps(HTMLParser):
    """Elements that no page of ours has, and all text that is shown or stands in attributes."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.sprung: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        runs_something = any(name.startswith("on") for name in said)
        leads_out = any((said.get(at) or "").startswith("javascript:") for at in ("href", "src"))
        if tag in ("img", "iframe") or (tag == "script" and "src" not in said):
            self.sprung.append(tag)
        if runs_something or leads_out or "style" in said:
            self.sprung.append(f"{tag} {said}")
        self.texts += [value for value in said.values() if value]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def trap(field: str, *, at_most: int = 200) -> str:
    """A trap that tells where it was laid."""
    return f"<{field}>{TRAP}"[:at_most]


def lay_incident() -> int:
    """One from a foreign alert, with all that people and parts of ours write on it."""
    hook = {
        "version": "4",
        "commonLabels": {"node": trap("label")},
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": trap("alertname", at_most=60), "severity": "critical"},
                "annotations": {"summary": trap("summary")},
                "startsAt": timezone.now().isoformat(),
                "fingerprint": "a",
            }
        ],
    }
    _, alerts = inbound.read(json.dumps(hook).encode(), now_ms=clock.now_ms())
    (number,) = journal.write(Book().receive(alerts, clock.now_ms())).values()
    inbound.store(json.dumps({"what": trap("webhook")}).encode(), sender=trap("sender"))
    actions.note(number, actor=trap("noter", at_most=150), text=trap("note"))
    actions.assign(number, role="lead", person=trap("lead", at_most=150), actor="ada")
    actions.escalate(number, actor="ada", reason=trap("escalation"))
    actions.silence(
        number, matchers={"rule": trap("matcher")}, hours=1, reason=trap("silence"), actor="ada"
    )
    claim = make_claim(trap("entity", at_most=60), headline=trap("cause"), why_not=(trap("why"),))
    triage.keep(number, make_findings(claim), made_ms=clock.now_ms(), cpu_ms=1)
    actions.named(number, headline=trap("named"), entity="node-1", kind="x", at_ms=clock.now_ms())
    Delivery.objects.create(
        key="k", word="trigger", channel="webhook", is_delivered=False, attempt_count=1,
        took_ms=1, at=timezone.now(), reason=trap("delivery"),
    )  # fmt: skip
    record_change("api", trap("kind", at_most=40), trap("change"), actor=trap("changer"))
    return number


def lay_people() -> User:
    """A person by a name that the console would not have given."""
    user = User.objects.create_user(trap("person", at_most=150))
    Person.objects.create(user=user, role="admin")
    make_api_token(
        trap("token", at_most=60), scopes=[Scope.READ], expires_at=timezone.now(), made_by="ada"
    )
    record(actor=trap("actor", at_most=150), action=trap("deed", at_most=60), target=trap("target"))
    return user


def lay_run() -> Run:
    run = runs.start_runbook("mine", {"target": "node-1"}, actor=trap("starter", at_most=150))
    Run.objects.filter(pk=run.pk).update(reason=trap("ending"), params={"p": trap("param")})
    RunPolicy.objects.create(
        finding_kind="process_pause",
        runbook="mine",
        changed_by=trap("allower"),
        changed_at=timezone.now(),
    )
    return run


def lay_signals(query: QueryTwin) -> None:
    trace_id = "0" * 32
    query.traces_kept = [
        {
            "trace_id": trace_id, "root_name": trap("root"), "node": trap("node"), "start_ms": 1,
            "duration_ms": 2.0, "reason": "slow", "status": "error",
        }
    ]  # fmt: skip
    query.spans[trace_id] = [
        {
            "span_id": "a", "parent_id": "", "name": trap("span"), "service": trap("service"),
            "node": "node-0", "start_ns": 1, "duration_ns": 5, "status": "error",
            "attributes": {trap("attribute"): trap("value")},
        }
    ]  # fmt: skip


@pytest.fixture
def runbook() -> Iterator[None]:
    title, summary = (trap(name, at_most=60).replace('"', "") for name in ("title", "prose"))
    head = OWN_HEAD.replace("TITLE", title).replace("SUMMARY", summary)
    head = head.replace("target:", "match: [{kind: process_pause, role: any}]\ntarget:")
    with own_runbook(READ.replace("TITLE", trap("step", at_most=60).replace('"', "")), head=head):
        yield


def pages(number: int, run: Run) -> Iterator[str]:
    """Every page that a GET shows, of what was laid."""
    known = {"incident_id": number, "run_id": run.pk, "webhook_id": 1, "name": "mine"}
    for name, rule in RULES.items():
        if rule.is_api or "GET" not in rule.needs or name == "live-events":
            continue
        arguments = EXAMPLES.get(name, {})
        yield reverse(name, kwargs={at: known.get(at, arguments[at]) for at in arguments})
    yield f"/incidents?text={TRAP[:20]}"
    yield "/search?q=%3Cimg%20src%3Dx%3E"


def test_no_text_of_a_stranger_is_more_than_text(query: QueryTwin, runbook: None) -> None:
    user, number, run = lay_people(), lay_incident(), lay_run()
    lay_signals(query)
    client = Client()
    client.force_login(user)

    shown = ""
    for path in pages(number, run):
        answer = client.get(path)
        if answer["Content-Type"].startswith("text/html"):
            found = Traps(answer.content.decode())
            assert found.sprung == [], path
            shown += "\n".join(found.texts)
        else:
            assert answer["X-Content-Type-Options"] == "nosniff", path

    fields = (
        *("alertname", "summary", "webhook", "sender", "noter", "note", "lead", "escalation"),
        *("matcher", "silence", "cause", "why", "named", "delivery", "change"),
        *("changer", "person", "token", "actor", "deed", "target", "starter", "ending", "param"),
        *("allower", "root", "node", "span", "attribute", "value", "title", "prose"),
        "step",
    )
    assert [field for field in fields if f"<{field}>" not in shown] == []
    assert "{{7*7}}" in shown
