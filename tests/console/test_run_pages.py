"""Pages of runs and runbooks: what they say, who may press what, and what is approved."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from console.audit.models import AuditRow
from console.runs.wording import change_of, prose
from runbooks import actions
from runbooks.models import Run, RunPolicy
from tests.console.conftest import make_person
from tests.runbooks.runbook_files import own_runbook
from tests.runbooks.worlds import World, go, start, world_of

pytestmark = pytest.mark.django_db

THROW = (
    "  - {id: throw, title: Throw the switch, action: throw.once,\n"
    "     with: {switch: a, node: node-1},\n"
    "     precheck: fleet.leader == 'node-1', verify: \"'a' in fleet.on\",\n"
    "     fence: {leader: '{{ fleet.leader }}', term: '{{ fleet.term }}'},\n"
    "     undo: {title: Throw it back, action: throw.again, with: {switch: not-a, node: n}}}\n"
)


def ask(policy: str = "alone_with_reason", role: str = "responder") -> str:
    return f"  - {{id: ask, title: Ask, approval: {{policy: {policy}, role: {role}}}}}\n"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world_of(monkeypatch) as world:
        yield world


def signed_in(name: str, role: str) -> Client:
    client = Client()
    client.force_login(make_person(name, role))
    return client


def text_of(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def test_the_box_says_what_changes_and_its_button_is_the_deed(client: Client, world: World) -> None:
    run = go(start(ask() + THROW))

    with own_runbook(ask() + THROW):
        page = text_of(client, f"/runs/{run.pk}")

    assert f"Run {run.pk}: a runbook of tests on node-1, waiting for approval" in page
    assert "Approve: throw the switch" in page
    assert "throw it back; never proven here" in page
    assert "changes, fenced: only if node-1 leads in term 41" in page
    assert run.plan_hash in page and "every 2s" in page


def test_an_approval_is_audited_and_the_run_goes_on(client: Client, world: World) -> None:
    run = go(start(ask() + THROW))

    answer = client.post(f"/runs/{run.pk}/approve", {"plan_hash": run.plan_hash})

    assert answer.status_code == 302
    assert go(run).state == "done"
    row = AuditRow.objects.get(action="approve run")
    assert (row.actor, row.detail["plan"]) == ("ada", run.plan_hash)
    assert f"Take run {run.pk} back" in text_of(client, f"/runs/{run.pk}")


def test_the_box_shows_the_plan_of_now_and_an_old_one_is_refused(
    client: Client, world: World
) -> None:
    run = go(start(ask() + THROW))
    world.facts["term"] = 42

    part = text_of(client, f"/runs/{run.pk}/approve-part")
    answer = client.post(f"/runs/{run.pk}/approve", {"plan_hash": run.plan_hash})

    assert run.plan_hash not in part
    assert answer.status_code == 409
    assert "The plan of run" in answer.content.decode() and world.sent == []


def test_a_box_that_was_answered_meanwhile_asks_for_the_whole_page(
    client: Client, world: World
) -> None:
    run = go(start(ask() + THROW))
    actions.decline(run.pk, actor="bob")

    answer = client.get(f"/runs/{run.pk}/approve-part")

    assert answer.headers["HX-Refresh"] == "true"


def test_who_asked_waits_for_somebody_where_a_second_person_must(world: World) -> None:
    ann = signed_in("ann", "responder")
    run = go(start(ask("second_person") + THROW))

    page = text_of(ann, f"/runs/{run.pk}")

    assert "Waiting for a second person: ann asked for this run" in page
    assert "Approve:" not in page


def test_who_asked_may_approve_alone_with_a_reason_where_the_rule_lets_them(world: World) -> None:
    ann = signed_in("ann", "responder")
    run = go(start(ask() + THROW))
    form = {"plan_hash": run.plan_hash, "alone": "1", "reason": "too short"}

    page = text_of(ann, f"/runs/{run.pk}")
    short = ann.post(f"/runs/{run.pk}/approve", form)
    ann.post(f"/runs/{run.pk}/approve", form | {"reason": "the disk of node-1 stalls"})

    assert "Approve alone, with reason" in page and 'minlength="10"' in page
    assert short.status_code == 400
    assert go(run).state == "done"


def test_a_responder_may_not_approve_what_asks_for_a_lead(world: World) -> None:
    bob = signed_in("bob", "responder")
    run = go(start(ask(role="lead") + THROW))

    page = text_of(bob, f"/runs/{run.pk}")
    answer = bob.post(f"/runs/{run.pk}/approve", {"plan_hash": run.plan_hash})

    assert "Lead role needed to approve; yours is responder" in page
    assert answer.status_code == 403 and go(run).state == "waiting"


def test_an_unknown_run_asks_what_happened_and_goes_by_the_answer(
    client: Client, world: World
) -> None:
    world.trouble, world.unreachable = ["silent"], True
    run = start(THROW)
    for _ in range(5):
        run = go(run)

    page = text_of(client, f"/runs/{run.pk}")
    client.post(f"/runs/{run.pk}/settle", {"happened": "yes"})

    assert "unknown whether step 1 happened" in page
    assert "It happened" in page and "It did not" in page
    assert go(run).state == "done"
    assert client.post(f"/runs/{run.pk}/settle", {"happened": "maybe"}).status_code == 400


def test_a_dry_run_says_so_first_and_stands_apart(client: Client, world: World) -> None:
    run = go(start(ask() + THROW, mode="dry"))

    assert "Dry run, nothing was changed." in text_of(client, f"/runs/{run.pk}")
    assert "not done: dry run" in text_of(client, f"/runs/{run.pk}")
    assert f"run-{run.pk}" not in text_of(client, "/runs")
    assert f"run-{run.pk}" in text_of(client, "/runs?show=dry")


def test_a_fence_that_refused_is_no_alarm_but_told(client: Client, world: World) -> None:
    world.trouble = ["refused"]
    run = go(start(THROW))

    page = text_of(client, f"/runs/{run.pk}")

    assert "refused by the fence" in page
    assert "The world moved: node-2 leads, term 42. Nothing done" in page


def test_a_runbook_is_a_document_with_its_proof_and_starts_from_its_page(
    client: Client, world: World
) -> None:
    page = text_of(client, "/runbooks/leader-fsync-stall")

    assert "Move leadership off a stalled disk: never proven here" in page
    assert "<strong>Afterwards</strong>" in page and '<ol class="prose-list">' in page
    answer = client.post("/runbooks/capture-evidence/start", {"target": "node-1", "mode": "dry"})
    assert answer.status_code == 302
    assert Run.objects.get().mode == "dry"


def test_a_bad_start_keeps_what_was_typed_and_names_the_field(client: Client) -> None:
    answer = client.post("/runbooks/noisy-tenant/start", {"target": "bob", "mode": "real"})

    page = answer.content.decode()
    assert answer.status_code == 400
    assert "expected tenant:NAME" in page and 'value="bob"' in page
    bad = client.post(
        "/runbooks/noisy-tenant/start", {"target": "tenant:a", "param-ops_per_s": "many"}
    )
    assert "ops_per_s is" in bad.content.decode() and not Run.objects.exists()


def test_a_file_with_an_error_is_shown_with_its_place(client: Client) -> None:
    with own_runbook("  - {id: broken}\n"):
        page = text_of(client, "/runbooks")

    assert "runbooks/mine.yaml:7" in page and "not in force" in page


def test_an_admin_lets_a_runbook_start_by_itself_and_takes_it_back(client: Client) -> None:
    form = {"finding_kind": "fsync_stall", "runbook": "leader-fsync-stall"}

    client.post("/policies/allow", form)
    assert "allowed by ada" in text_of(client, "/runbooks/leader-fsync-stall")
    client.post("/policies/forbid", form)

    assert not RunPolicy.objects.get().is_on
    assert client.post("/policies/allow", form | {"finding_kind": "x"}).status_code == 400


def test_lists_take_a_fixed_number_of_queries(
    client: Client, world: World, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(3):
        go(start(THROW))

    for path, most in (("/runs", 6), ("/runbooks", 6), ("/runbooks/mine", 8)):
        with django_assert_max_num_queries(most), own_runbook(THROW):
            assert client.get(path).status_code == 200


def test_prose_is_text_with_a_few_marks() -> None:
    assert prose("One **big** `x<y`.\nSame.\n\n1. first\n   goes on\n2. *second*") == (
        "<p>One <strong>big</strong> <code>x&lt;y</code>. Same.</p>\n"
        '<ol class="prose-list"><li>first goes on</li><li><em>second</em></li></ol>'
    )


def test_a_change_is_told_as_before_and_after() -> None:
    assert change_of("raft.transfer_leader", {"to": "node-2"}, "node-1") == (
        "leader: node-1 → node-2"
    )
    assert "no limit" in change_of("tenant.throttle", {"tenant": "t", "ops_per_s": 0}, None)
