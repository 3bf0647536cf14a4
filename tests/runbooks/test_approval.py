"""Approval: by whom, of which plan, and until when."""

from collections.abc import Iterator

import pytest

from runbooks import actions, approval, clock, queries, tasks
from runbooks.errors import ApprovalRefused, BadParameter, PlanChanged, WrongState
from runbooks.events import RunEvent
from runbooks.models import Run, RunPolicy
from tests.runbooks.worlds import World, go, start, world_of

pytestmark = pytest.mark.django_db

THROW = (
    "  - {id: throw, title: Throw it, action: throw.once, precheck: fleet.leader == 'node-1',\n"
    "     with: {switch: '{{ fleet.best_follower }}', node: n}, verify: \"len(fleet.on) > 0\",\n"
    "     fence: {leader: '{{ fleet.leader }}', term: '{{ fleet.term }}'}}\n"
)
REASON = "the disk is stalling"


def ask(policy: str) -> str:
    return (
        f"  - {{id: ask, title: Ask, approval: {{policy: {policy}, role: lead, expires: 10m}}}}\n"
    )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world_of(monkeypatch) as world:
        yield world


def waiting(policy: str = "second_person") -> Run:
    run = go(start(ask(policy) + THROW))
    assert run.state == "waiting"
    return run


def test_a_run_that_asks_holds_no_worker_and_sends_what_was_read(world: World) -> None:
    run = waiting()
    assert not queries.run_detail(run.pk).steps[0].attempts

    actions.approve(run.pk, actor="bob", plan_hash=run.plan_hash)
    world.facts["best_follower"] = "node-2"
    run = go(run)

    assert (run.state, world.on) == ("done", ["node-0"]), "as approved, not as it would be now"
    step = queries.run_detail(run.pk).steps[0]
    assert (step.outcome["by"], step.outcome["plan"]) == ("bob", run.plan_hash)


def test_who_asked_cannot_approve_where_a_second_person_must(world: World) -> None:
    run = waiting()

    with pytest.raises(ApprovalRefused, match="a second person must"):
        actions.approve(run.pk, actor="ann", plan_hash=run.plan_hash, reason=REASON, alone=True)

    assert go(run).state == "waiting"


@pytest.mark.parametrize(
    ("requester", "approver", "why"),
    [
        ("ann", "ann", "you asked for this run"),
        ("ann", "terminal", "terminal is no person by name"),
        ("ann", "token ci", "token ci is no person by name"),
        ("terminal", "bob", "nobody knows who asked at the terminal"),
        ("terminal", "terminal", "terminal is no person by name"),
        ("token ci", "token ci", "token ci is no person by name"),
    ],
)
def test_nobody_s_name_makes_no_second_person(
    world: World, requester: str, approver: str, why: str
) -> None:
    strict = go(start(ask("second_person") + THROW, actor=requester))
    with pytest.raises(ApprovalRefused, match=f"{why}: a second person must"):
        actions.approve(
            strict.pk, actor=approver, plan_hash=strict.plan_hash, reason=REASON, alone=True
        )
    actions.decline(strict.pk, actor=approver)
    alone = go(start(ask("alone_with_reason") + THROW, actor=requester))
    with pytest.raises(ApprovalRefused, match=f"{why}: approve it alone"):
        actions.approve(alone.pk, actor=approver, plan_hash=alone.plan_hash, reason=REASON)

    assert world.sent == []


def test_a_person_is_the_second_of_a_program_that_asked(world: World) -> None:
    run = go(start(ask("second_person") + THROW, actor="token ci"))

    actions.approve(run.pk, actor="bob", plan_hash=run.plan_hash)

    assert go(run).state == "done" and len(world.sent) == 1


def test_alone_needs_the_word_and_a_reason(world: World) -> None:
    run = waiting("alone_with_reason")

    with pytest.raises(ApprovalRefused, match="alone with a reason"):
        actions.approve(run.pk, actor="ann", plan_hash=run.plan_hash, reason=REASON)
    with pytest.raises(BadParameter, match="at least 10 characters"):
        actions.approve(run.pk, actor="ann", plan_hash=run.plan_hash, reason="do it", alone=True)
    actions.approve(run.pk, actor="ann", plan_hash=run.plan_hash, reason=REASON, alone=True)

    assert go(run).state == "done"
    outcome = queries.run_detail(run.pk).steps[0].outcome
    assert (outcome["alone"], outcome["reason"]) == (True, REASON)


@pytest.mark.parametrize("change", [{"term": 42}, {"best_follower": "node-2"}])
def test_a_plan_that_changed_since_it_was_read_is_not_approved(
    world: World, change: dict[str, object]
) -> None:
    run = waiting()
    world.facts |= change

    with pytest.raises(PlanChanged) as caught:
        actions.approve(run.pk, actor="bob", plan_hash=run.plan_hash)

    assert go(run).state == "waiting"
    actions.approve(run.pk, actor="bob", plan_hash=caught.value.plan_hash)
    assert go(run).state == "done"


def test_what_does_not_change_the_plan_does_not_void_it(world: World) -> None:
    run = waiting()
    world.facts["best_follower_lag"] = 7

    actions.approve(run.pk, actor="bob", plan_hash=run.plan_hash)

    assert go(run).state == "done"


def test_the_box_shows_the_conditions_as_they_are_now(world: World) -> None:
    run = waiting()
    steps = list(run.steps.all())

    before = approval.propose(run, steps, 0)
    world.facts["leader"] = "node-2"
    after = approval.propose(run, steps, 0)

    assert [c.holds for c in before.conditions] == [True]
    assert [c.holds for c in after.conditions] == [False]
    assert before.plan_hash != after.plan_hash


def test_an_approval_that_nobody_gives_in_time_ends_the_run(world: World) -> None:
    run = waiting()
    expires_at = queries.run_detail(run.pk).steps[0].expires_at
    assert expires_at is not None

    tasks.resume_stalled(now_ms=clock.to_ms(expires_at) - 1)
    assert Run.objects.get(pk=run.pk).state == "waiting"
    tasks.resume_stalled(now_ms=clock.to_ms(expires_at))

    run = Run.objects.get(pk=run.pk)
    assert (run.state, run.reason) == ("failed", "nobody approved ask in time")
    assert world.sent == []
    with pytest.raises(WrongState):
        actions.approve(run.pk, actor="bob", plan_hash=run.plan_hash)


def test_a_declined_run_is_cancelled_and_does_nothing_more(world: World) -> None:
    run = waiting()

    run = actions.decline(run.pk, actor="bob", reason="not now")

    assert (run.state, run.reason) == ("cancelled", "declined by bob: not now")
    assert go(run).state == "cancelled" and world.sent == []


def test_of_two_who_approve_the_second_is_told(world: World) -> None:
    run = waiting()
    actions.approve(run.pk, actor="bob", plan_hash=run.plan_hash)

    with pytest.raises(WrongState, match="by bob"):
        actions.approve(run.pk, actor="eve", plan_hash=run.plan_hash)


def test_a_retry_asks_again(world: World) -> None:
    run = waiting()
    actions.approve(run.pk, actor="bob", plan_hash=run.plan_hash)
    world.trouble = ["refused"]
    assert go(run).state == "failed"

    actions.retry(run.pk, actor="ann")

    assert go(run).state == "waiting"


def test_without_a_policy_to_ask_nobody_is_asked_and_a_dry_run_asks_nobody(world: World) -> None:
    assert go(start(ask("none") + THROW)).state == "done"

    dry = go(start(ask("second_person") + THROW, mode="dry"))

    assert dry.state == "done"
    outcome = queries.run_detail(dry.pk).steps[0].outcome
    assert outcome == {"would_ask": "lead", "policy": "second_person"}


def test_a_policy_approves_what_an_admin_allowed_and_no_more(world: World) -> None:
    policy = RunPolicy.objects.create(
        finding_kind="fsync_stall", runbook="mine", changed_by="root", changed_at=clock.from_ms(1)
    )
    run = go(start(ask("second_person") + THROW, policy="fsync_stall"))
    assert run.state == "done"
    outcome = queries.run_detail(run.pk).steps[0].outcome
    assert outcome["reason"] == "allowed beforehand by root"

    RunPolicy.objects.filter(pk=policy.pk).update(is_on=False)
    assert go(start(ask("second_person") + THROW, policy="fsync_stall")).state == "waiting"


def test_who_must_act_is_told(
    world: World, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[RunEvent] = []
    monkeypatch.setattr("runbooks.events.announce", told.append)

    waiting()

    assert [event.waiting_for for event in told if event.to_state == "waiting"] == ["lead"]
