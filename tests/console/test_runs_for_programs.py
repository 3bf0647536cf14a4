"""Runs and runbooks for programs: the API and the command, their refusals and their exit codes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from jsonschema import Draft202012Validator

from console.accounts.actions import make_api_token
from console.accounts.scopes import Scope
from console.api.runbooks import DOCUMENT
from console.api.runs import WHOLE
from console.audit.models import AuditRow
from runbooks import queries
from runbooks.models import Run
from tests.runbooks.runbook_files import own_runbook
from tests.runbooks.worlds import World, go, start, world_of

pytestmark = pytest.mark.django_db

ASK = "  - {id: ask, title: Ask, approval: {policy: alone_with_reason, role: responder}}\n"
LEAD = ASK.replace("responder", "lead")
THROW = (
    "  - {id: throw, title: Throw it, action: throw.once, with: {switch: a, node: node-1},\n"
    "     precheck: fleet.leader == 'node-1', verify: \"'a' in fleet.on\",\n"
    "     fence: {leader: '{{ fleet.leader }}', term: '{{ fleet.term }}'},\n"
    "     undo: {title: Throw it back, action: throw.again, with: {switch: not-a, node: n}}}\n"
)
WHY = "the disk of node-1 stalls"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world_of(monkeypatch) as world:
        yield world


def bearer(*scopes: Scope) -> dict[str, str]:
    ends = timezone.now() + timedelta(days=1)
    secret = make_api_token("ci", scopes=list(scopes), expires_at=ends, made_by="ada")
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def post(db: None) -> Callable[..., Any]:
    held = bearer(Scope.READ, Scope.RUNS_WRITE)

    def send(path: str, body: object, **headers: str) -> Any:
        return Client().post(
            f"/api/v1/{path}",
            json.dumps(body),
            content_type="application/json",
            headers=held | {name.replace("_", "-"): value for name, value in headers.items()},
        )

    return send


def manage(*words: str) -> tuple[str, int]:
    out = io.StringIO()
    try:
        call_command("runbook", *words, stdout=out, stderr=out)
    except SystemExit as end:
        return out.getvalue(), int(end.code or 0)
    return out.getvalue(), 0


def test_the_same_key_starts_one_run_of_a_runbook(post: Callable[..., Any], world: World) -> None:
    body = {"runbook": "hung-node", "params": {"node": "node-1"}, "subject": "incident:42"}

    first = post("runs", body, Idempotency_Key="k1")
    again = post("runs", body, Idempotency_Key="k1")
    in_the_way = post("runs", body, Idempotency_Key="k2")

    run = Run.objects.get()
    assert (first.status_code, first["Location"]) == (201, f"/runs/{run.pk}")
    assert again.content == first.content and again["Idempotency-Replayed"] == "true"
    assert in_the_way.status_code == 409 and f"run {run.pk}" in in_the_way.json()["title"]
    assert (run.actor, run.subject) == ("token ci", "incident:42")
    row = AuditRow.objects.filter(action="start runbook").first()
    assert row is not None and row.via == "api"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"runbook": "nothing"}, "runbook"),
        ({"runbook": "hung-node"}, "target"),
        ({"runbook": "hung-node", "params": {"node": "node-x"}}, "target"),
        ({"runbook": "hung-node", "params": {"node": "node-1", "speed": 1}}, "speed"),
        ({"runbook": "hung-node", "params": {"node": "node-1"}, "subject": "42"}, "subject"),
        ({"runbook": "hung-node", "params": [], "subject": "incident:1"}, "params"),
        ({"runbook": "noisy-tenant", "params": {"tenant": "a", "ops_per_s": 0}}, "ops_per_s"),
        ({"runbook": "hung-node", "mode": "maybe"}, "mode"),
    ],
)
def test_a_bad_start_is_refused_by_its_field(
    post: Callable[..., Any], body: object, field: str
) -> None:
    answer = post("runs", body)

    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert answer.json()["expected"] and not Run.objects.exists()


def test_a_program_reads_the_plan_and_approves_that_one_only(
    post: Callable[..., Any], world: World
) -> None:
    run = go(start(ASK + THROW))
    found = Client().get(f"/api/v1/runs/{run.pk}", headers=bearer_of_a_reader()).json()
    world.facts["term"] = 42

    body = {"plan": found["waits"]["plan"], "alone": True, "reason": WHY}
    stale = post(f"runs/{run.pk}/approve", body)
    world.facts["term"] = 41
    done = post(f"runs/{run.pk}/approve", body)
    late = post(f"runs/{run.pk}/approve", body)

    Draft202012Validator(WHOLE).validate(found)
    assert found["waits"]["calls"]["throw"]["fence"] == {"leader": "node-1", "term": 41}
    assert stale.status_code == 409 and "plan of run" in stale.json()["title"]
    assert (done.status_code, done.json()["state"]) == (200, "running")
    assert late.status_code == 409
    assert go(run).state == "done" and len(world.sent) == 1


def bearer_of_a_reader() -> dict[str, str]:
    ends = timezone.now() + timedelta(days=1)
    secret = make_api_token("reader", scopes=[Scope.READ], expires_at=ends, made_by="ada")
    return {"Authorization": f"Bearer {secret}"}


def test_a_program_is_no_lead_and_a_reader_decides_nothing(
    post: Callable[..., Any], world: World
) -> None:
    run = go(start(LEAD + THROW))
    plan = {"plan": run.plan_hash}

    as_responder = post(f"runs/{run.pk}/approve", plan)
    as_reader = Client().post(
        f"/api/v1/runs/{run.pk}/decline", "{}", "application/json", headers=bearer_of_a_reader()
    )

    assert as_responder.status_code == 403 and "Lead role" in as_responder.json()["title"]
    assert as_reader.status_code == 403
    assert Run.objects.get().state == "waiting" and world.sent == []


def test_programs_decline_cancel_and_settle(post: Callable[..., Any], world: World) -> None:
    declined = go(start(ASK + THROW))
    no = post(f"runs/{declined.pk}/decline", {"reason": "all is well"})
    cancelled = go(start(ASK + THROW))
    stopped = post(f"runs/{cancelled.pk}/cancel", {})
    world.trouble, world.unreachable = ["silent"], True
    lost = start(THROW)
    for _ in range(5):
        lost = go(lost)

    settled = post(f"runs/{lost.pk}/settle", {"happened": True})

    assert (no.json()["state"], no.json()["reason"]) == (
        "cancelled",
        "declined by token ci: all is well",
    )
    assert stopped.json()["state"] == "cancelled"
    assert settled.json()["state"] == "queued" and go(lost).state == "done"
    assert post(f"runs/{lost.pk}/settle", {"happened": True}).status_code == 409
    assert post("runs/999/cancel", {}).status_code == 404


def test_a_runbook_is_read_with_its_proof_and_an_unknown_one_names_the_others(
    client: Client, world: World
) -> None:
    go(start(THROW))
    with own_runbook(THROW):
        rows = {row["name"]: row for row in client.get("/api/v1/runbooks").json()["runbooks"]}
    document = client.get("/api/v1/runbooks/noisy-tenant").json()
    unknown = client.get("/api/v1/runbooks/nothing")

    assert rows["mine"]["proof"]["done"] == 1 and rows["mine"]["has_undo"]
    Draft202012Validator(DOCUMENT).validate(document)
    assert document["params"][0]["expected"] == "a whole number from 1 to 100000"
    assert unknown.status_code == 404 and "hung-node" in unknown.json()["expected"]


def test_the_terminal_starts_reads_the_plan_approves_alone_and_takes_back(world: World) -> None:
    with own_runbook(ASK + THROW):
        said, code = manage("run", "mine", "--param", "node=node-1", "--subject", "incident:7")
        run = go(Run.objects.get())
        shown, _ = manage("show", str(run.pk))
        waiting = manage("approve", str(run.pk), "--reason", WHY)
        done = manage("approve", str(run.pk), "--alone", "--reason", WHY)
        run = go(run)
        manage("undo", str(run.pk))
        run = go(run)
        listed, _ = manage("list")

    assert code == 0 and f"Run {run.pk}: a runbook of tests on node-1, queued" in said
    assert f"plan {run.plan_hash[:8]}, for a responder to approve" in shown
    assert waiting == ("terminal is no person by name: approve it alone with a reason\n", 7)
    assert done[1] == 0 and run.undo_state == "done" and world.on == []
    assert (run.actor, run.subject) == ("terminal", "incident:7")
    assert "1 of 1" in listed and "undo proven" in listed
    assert [row.via for row in AuditRow.objects.filter(actor="terminal")] == ["cli"] * 4


def test_a_way_back_that_fails_is_no_success(world: World) -> None:
    run = go(start(THROW))
    with own_runbook(THROW):
        manage("undo", str(run.pk))
        world.trouble = ["fails"] * 3
        for _ in range(3):
            go(run)
            Run.objects.filter(pk=run.pk).update(ring_at=run.created_at)
        said, code = manage("run", "mine", "--param", "node=node-1", "--key", run.key, "--wait")

    assert code == 1 and "not all taken back" in said


def test_waiting_ends_where_a_person_must_act_and_the_exit_code_says_so(world: World) -> None:
    run = go(start(ASK + THROW))
    with own_runbook(ASK + THROW):
        again = manage("run", "mine", "--param", "node=node-1", "--key", run.key, "--wait")
    declined = manage("decline", str(run.pk), "--reason", "no need")

    assert again[1] == 3 and "waiting for approval" in again[0]
    assert declined[1] == 0 and "cancelled" in declined[0]
    assert queries.state_of(run.pk) == "cancelled"


def test_a_plan_that_changed_is_approved_only_under_its_own_name(world: World) -> None:
    run = go(start(ASK + THROW))
    world.facts["term"] = 42

    alone = ("approve", str(run.pk), "--alone", "--reason", WHY)
    said, code = manage(*alone)
    plan = said.rstrip().rsplit(" ", 1)[1]
    short = manage(*alone, "--plan", plan[:4])
    done = manage(*alone, "--plan", plan)

    assert code == 7 and "changed" in said and len(plan) == 8
    assert short[1] == 2 and done[1] == 0
    assert go(run).state == "done" and world.sent[0][3] == {"leader": "node-1", "term": 42}


def test_an_unknown_run_is_settled_from_the_terminal(world: World) -> None:
    world.trouble, world.unreachable = ["silent"], True
    run = start(THROW)
    for _ in range(5):
        run = go(run)

    assert "unknown whether step 1 happened" in manage("show", str(run.pk))[0]
    assert manage("settle", str(run.pk), "--happened")[1] == 0
    assert go(run).state == "done"
    assert manage("settle", str(run.pk), "--did-not")[1] == 7


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show", "nothing"), "runbook is 'nothing'; expected one of capture-evidence"),
        (("show", "999"), "there is no run 999"),
        (("run", "nothing"), "runbook is 'nothing'"),
        (("run", "hung-node"), "expected a node such as node-1"),
        (("run", "hung-node", "--param", "node"), "param is 'node'; expected NAME=VALUE"),
        (("run", "noisy-tenant", "--param", "ops_per_s=x"), "ops_per_s is 'x'"),
        (("run", "hung-node", "--param", "a=1", "--param", "node=node-1"), "a is '1'"),
        (("run", "hung-node", "--param", "node=node-1", "--subject", "7"), "incident:N"),
        (("approve", "999"), "there is no run 999"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(words: tuple[str, ...], told: str) -> None:
    said, code = manage(*words)

    assert code == 2 and told in said and said.count("\n") == 1
    assert not Run.objects.exists()


def test_without_a_database_it_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_run_id: int) -> None:
        raise OperationalError("unable to open database file")

    monkeypatch.setattr(queries, "run_detail", away)

    said, code = manage("show", "1")

    assert code == 8 and "does not answer: unable to open database file" in said


def test_the_terminal_speaks_json(world: World) -> None:
    run = go(start(ASK + THROW))

    listed = json.loads(manage("list", "--json")[0])
    document = json.loads(manage("show", "hung-node", "--json")[0])
    whole = json.loads(manage("show", str(run.pk), "--json")[0])

    assert {"hung-node", "rolling-restart"} <= {row["name"] for row in listed}
    assert document["steps"][0]["action"] == "raft.status"
    assert whole["run"]["state"] == "waiting" and whole["waits"]["role"] == "responder"
