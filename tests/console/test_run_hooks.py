"""Between runs, incidents and drills: what one is told of the other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.conf import settings
from django.test import Client

from console.changes import queries as changes
from console.drills.hooks import abort_for_real
from console.incidents import actions, queries, runs
from console.runs import hooks
from console.triage import actions as triage
from console.triage.findings import Claim, Findings
from runbooks import clock, facts
from runbooks.drills import mark
from runbooks.drills.mark import DrillMark
from runbooks.events import RunEvent
from tests.console.alerting import alert
from tests.console.test_incident_pages import opened, text_of

pytestmark = pytest.mark.django_db

EVENT = RunEvent(
    run_id=7,
    kind="leader-fsync-stall",
    target="node-1",
    subject="incident:1",
    from_state="queued",
    to_state="waiting",
    actor="engine",
    at_ms=0,
    waiting_for="lead",
    requested_by="ada",
    mode="real",
    reason="",
)


def test_a_run_for_an_incident_writes_its_states_into_the_timeline() -> None:
    number = opened()

    runs.heard(replace(EVENT, subject=f"incident:{number}", at_ms=clock.now_ms()))

    first = queries.timeline(number)[0]
    assert first.text == "leader-fsync-stall on node-1 is waiting"
    assert (first.kind, first.run_id) == ("run", 7)


@pytest.mark.parametrize(
    "runbook, kind", [("hung-node", "restart"), ("noisy-tenant", "run"), ("no-more-there", "run")]
)
def test_a_run_that_restarts_a_node_is_told_from_others(runbook: str, kind: str) -> None:
    now_ms = clock.now_ms()

    for before, after in (("queued", "running"), ("running", "waiting"), ("waiting", "running")):
        runs.heard(replace(EVENT, kind=runbook, from_state=before, to_state=after, at_ms=now_ms))

    (change,) = changes.between(now_ms - 1000, now_ms + 1000)
    assert (change.source, change.kind, change.entity) == ("runs", kind, "node-1")


@pytest.mark.parametrize(
    "subject", ["", "drill:1", "incident:", "incident:x", "incident:\u0661", "incident:999999"]
)
def test_a_run_for_something_else_writes_nothing(subject: str) -> None:
    number = opened()
    before = len(queries.timeline(number))

    runs.heard(replace(EVENT, subject=subject))

    assert len(queries.timeline(number)) == before


def test_an_incident_whose_cause_is_unknown_is_no_finding() -> None:
    opened()

    assert hooks.findings(clock.now_ms()) == []


def test_the_page_of_an_incident_offers_the_runbook_for_its_cause(client: Client) -> None:
    number = opened()
    actions.named(
        number,
        headline="Flush stalls on node-1",
        entity="node-1",
        kind="process_pause",
        at_ms=clock.now_ms(),
    )

    for path in (f"/incidents/{number}", f"/incidents/{number}/next"):
        page = text_of(client, path)
        assert "Next step: " in page
        assert 'action="/runbooks/hung-node/start"' in page
        assert f'value="incident:{number}"' in page


def test_what_can_wait_for_the_morning_starts_no_policy() -> None:
    number = opened()
    claim = Claim(entity="node-1", kind="loop_block", score=0.9, headline="node-1 is blocked")
    said = Findings(claims=(claim,), moved=(), missing=(), onset_ms=None, baselines={})
    triage.keep(number, said, made_ms=clock.now_ms(), cpu_ms=1.0)
    paged = hooks.findings(clock.now_ms())

    actions.set_severity(number, actor="ada", severity="ticket")

    assert [each.entity for each in paged] == ["node-1"]
    assert hooks.findings(clock.now_ms()) == []


def test_a_bad_setting_brings_its_former_value_to_the_policy_and_the_page(client: Client) -> None:
    number = opened()
    now_ms = clock.now_ms()
    claim = Claim(
        entity="node-1",
        kind="bad_config",
        score=0.7,
        headline="node-1 runs with a bad setting",
        remedy={"name": "request_wait_ms", "value": 30000},
    )
    said = Findings(claims=(claim,), moved=(), missing=(), onset_ms=None, baselines={})
    triage.keep(number, said, made_ms=now_ms, cpu_ms=1.0)
    actions.named(
        number, headline=claim.headline, entity=claim.entity, kind=claim.kind, at_ms=now_ms
    )

    (found,) = hooks.findings(now_ms)
    page = text_of(client, f"/incidents/{number}")

    assert found.params == (("name", "request_wait_ms"), ("value", 30000))
    assert 'action="/runbooks/revert-config/start"' in page
    assert 'name="param-name" value="request_wait_ms"' in page
    assert 'name="param-value" value="30000"' in page


def test_a_foreign_alert_starts_nothing_by_itself_and_crowds_out_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(facts, "look", lambda _target: {"leader": "node-1"})
    monkeypatch.setattr(hooks, "INCIDENTS_MAX", 1)
    for each in (alert("write-latency"), alert("DiskFull", source="alertmanager")):
        number = opened(None, each)
        claim = Claim(entity="node-1", kind="fsync_stall", score=0.9, headline="Flush stalls")
        said = Findings(claims=(claim,), moved=(), missing=(), onset_ms=None, baselines={})
        triage.keep(number, said, made_ms=clock.now_ms(), cpu_ms=1.0)

    (found,) = hooks.findings(clock.now_ms())

    assert queries.get(int(found.subject.removeprefix("incident:"))).scope == "fleet"


def test_findings_of_many_incidents_take_one_look_at_the_fleet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[str] = []

    def look(target: str) -> dict[str, object]:
        looks.append(target)
        return {"leader": "node-1"}

    monkeypatch.setattr(facts, "look", look)
    for node in range(3):
        claim = Claim(entity=f"node-{node}", kind="fsync_stall", score=0.7, headline="Flush stalls")
        said = Findings(claims=(claim,), moved=(), missing=(), onset_ms=None, baselines={})
        triage.keep(opened(None, alert(f"rule-{node}")), said, made_ms=clock.now_ms(), cpu_ms=1.0)

    found = hooks.findings(clock.now_ms())

    assert {each.entity: each.is_leader for each in found} == {
        "node-0": False,
        "node-1": True,
        "node-2": False,
    }
    assert len(looks) == 1


def test_a_real_page_ends_the_drill_that_is_under_way() -> None:
    now_ms = clock.now_ms()
    run = settings.HOLDFAST.run
    run.mkdir(parents=True, exist_ok=True)
    mark.write(
        run,
        DrillMark(run_id=1, scenario="x", since_ms=now_ms - 60_000, until_ms=now_ms + 60_000),
    )
    try:
        assert abort_for_real(now_ms) == ""

        number = opened(None, alert(headline="Writes fail"))

        assert abort_for_real(now_ms) == f"0 drills ended for INC-{number}"
    finally:
        mark.clear(run, 1)
