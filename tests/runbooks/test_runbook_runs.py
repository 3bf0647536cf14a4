"""Runs of runbooks from start to end: checks, fences, losses, ways on and back, dry runs."""

from collections.abc import Iterator

import pytest
from django.test import TestCase
from pytest_django import DjangoAssertNumQueries

from runbooks import actions, clock, driver, journal, queries, tasks
from runbooks.engine.machine import Perform
from runbooks.engine.states import RunState
from runbooks.errors import AlreadyActive, WrongState
from runbooks.events import RunEvent
from runbooks.models import Attempt, Run
from runbooks.steps.table import STEP_ACTIONS
from tests.runbooks.runbook_files import HEAD
from tests.runbooks.worlds import DIES, World, go, go_and_die, start, world_of

pytestmark = pytest.mark.django_db

LOOK = "  - {id: look, title: Look, action: raft.status, expect: leader == target}\n"
ONCE = (
    "  - {id: once, title: Throw it, action: throw.once, with: {switch: a, node: '{{ target }}'},\n"
    "     fence: {leader: '{{ fleet.leader }}', term: '{{ fleet.term }}'}, attempts: 2,\n"
    "     timeout: 1s, precheck: fleet.leader == target, verify: \"'a' in fleet.on\",\n"
    "     undo: {title: Take it back, action: throw.again, with: {switch: not-a, node: n}}}\n"
)
AGAIN = (
    "  - {id: again, title: Throw b, action: throw.again, with: {switch: b, node: n},\n"
    "     attempts: 2,\n"
    "     undo: {title: Take b back, action: throw.again, with: {switch: not-b, node: n}}}\n"
)
FAILS = "  - {id: fails, title: Fail, action: raft.status, expect: term == 0, attempts: 1}\n"
OTHER = (
    "  - {id: other, title: T, action: throw.again, with: {switch: c, node: n},\n"
    "     fallback: true}\n"
)
NOTE = "  - {id: say, title: Say so, action: run.note, with: {text: 'term {{ look.term }}'}}\n"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world_of(monkeypatch) as world:
        yield world


def states(run: Run) -> dict[str, str]:
    return {step.name: step.state for step in queries.run_detail(run.pk).steps}


def lose(run: Run) -> None:
    """The reaper comes by after the lease of the attempt under way."""
    attempt = Attempt.objects.get(step__run=run, state="running")
    tasks.resume_stalled(now_ms=clock.to_ms(attempt.lease_until))


def test_a_run_reads_changes_under_its_fence_and_says_so(world: World) -> None:
    run = go(start(LOOK + ONCE + NOTE))

    assert run.state == "done", run.reason
    assert run.outcome == {"text": "term 41"}
    call = {"switch": "a", "node": "node-1"}
    assert world.sent == [("once", 1, call, {"leader": "node-1", "term": 41})]
    sent = Attempt.objects.get(step__run=run, step__name="once").sent
    assert sent == {"call": call, "fence": {"leader": "node-1", "term": 41}}


def test_one_task_goes_through_all_steps_and_each_is_claimed_and_recorded(world: World) -> None:
    run = start(LOOK + ONCE + AGAIN + NOTE)

    assert not driver.advance(run.pk, worker="host:1")

    detail = queries.run_detail(run.pk)
    assert [(len(s.attempts), s.attempts[0].state) for s in detail.steps] == [(1, "done")] * 4


def test_a_step_costs_a_fixed_number_of_queries(
    world: World, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    run = start(LOOK + "".join(NOTE.replace("say", f"say{n}") for n in range(12)))

    with django_assert_max_num_queries(13 * 20):
        run = go(run)

    assert run.state == "done", run.reason


def test_nothing_is_sent_while_the_check_before_it_says_no(world: World) -> None:
    world.facts["leader"] = "node-2"
    run = go(start(ONCE))

    detail = queries.run_detail(run.pk)
    attempt = detail.steps[0].attempts[0]
    assert attempt.state == "held"
    assert attempt.reason == "nothing was sent: fleet.leader == target does not hold"
    world.facts["leader"] = "node-1"
    assert go(run).state == "done"


def test_a_fence_that_refuses_fails_the_run_with_how_the_world_moved(world: World) -> None:
    world.trouble = ["refused"]

    run = go(start(ONCE))

    assert (run.state, world.on) == ("failed", [])
    assert run.reason == "The world moved: node-2 leads, term 42. Nothing done"


def test_a_lost_change_is_fenced_off_and_found_to_have_happened(world: World) -> None:
    world.trouble = [DIES]
    run = start(ONCE + LOOK)
    go_and_die(run)

    lose(run)
    run = go(run, worker="host:2")

    assert run.state == "done"
    assert world.fences == [(1, run.pk, "once", 2)]
    assert len(world.sent) == 1
    step = queries.run_detail(run.pk).steps[0]
    assert [(a.purpose, a.state) for a in step.attempts] == [("act", "lost"), ("check", "done")]


def test_a_lost_change_that_did_not_happen_is_made_by_the_next_attempt(world: World) -> None:
    world.trouble = ["silent"]

    run = go(start(ONCE))

    assert run.state == "done"
    assert [attempt for _, attempt, _, _ in world.sent] == [1, 2]
    assert world.fences == [(1, run.pk, "once", 2)]


def test_a_node_that_says_it_was_done_is_believed(world: World) -> None:
    world.trouble, world.was_done = ["silent"], True

    run = go(start(ONCE))

    assert (run.state, len(world.sent)) == ("done", 1)


def test_a_worker_that_dies_before_it_sends_leaves_nothing_to_be_found_out(world: World) -> None:
    run = start(ONCE)
    snapshot, effect = driver.settle(run.pk, now_ms=clock.now_ms())
    assert isinstance(effect, Perform)
    journal.claim(snapshot, effect, worker="host:1", now_ms=clock.now_ms())

    lose(run)
    run = go(run, worker="host:2")

    assert (run.state, world.fences) == ("done", [])
    assert [attempt for _, attempt, _, _ in world.sent] == [2]


def make_unknown(world: World) -> Run:
    world.trouble, world.unreachable = ["silent"], True
    run = start(ONCE + LOOK)
    for _ in range(5):
        run = go(run)
    assert (run.state, len(world.sent)) == ("unknown", 1), run.reason
    return run


def test_what_cannot_be_checked_waits_for_a_person_who_says_it_happened(world: World) -> None:
    run = make_unknown(world)
    assert "its fence can't be raised" in run.reason

    actions.settle_unknown(run.pk, actor="bob", happened=True)

    assert go(run).state == "done"
    assert len(world.sent) == 1
    with pytest.raises(WrongState, match="done"):
        actions.settle_unknown(run.pk, actor="eve", happened=False)


def test_what_a_person_says_did_not_happen_is_done_again(world: World) -> None:
    run = make_unknown(world)
    world.unreachable = False

    actions.settle_unknown(run.pk, actor="bob", happened=False)

    assert (go(run).state, len(world.sent)) == ("done", 2)


def test_a_change_that_is_sent_but_never_seen_is_no_success(world: World) -> None:
    blind = ONCE.replace("\"'a' in fleet.on\"", "\"'zebra' in fleet.on\"").replace(
        "attempts: 2", "attempts: 1"
    )

    run = go(start(blind))

    assert run.state == "failed"
    assert "it did not happen, and now can't any more" in run.reason


def test_a_cancelled_run_takes_back_what_it_did_last_first(world: World) -> None:
    ask = "  - {id: ask, title: Ask, approval: {policy: second_person}}\n"
    run = go(start(ONCE + AGAIN + ask + LOOK))
    assert (run.state, world.on) == ("waiting", ["a", "b"])

    actions.cancel(run.pk, "bob", "a page came in")
    run = go(run)

    assert (run.state, run.undo_state, world.on) == ("cancelled", "done", [])
    assert run.reason == "a page came in"
    assert [step for step, *_ in world.sent][2:] == ["undo-again", "undo-once"]


def test_a_failed_run_takes_nothing_back_unless_its_runbook_says_so(world: World) -> None:
    kept = go(start(ONCE + FAILS))
    assert (kept.state, kept.undo_state, world.on) == ("failed", "", ["a"])
    world.on.clear()
    back = go(start(ONCE + FAILS, head=HEAD.replace("steps:", "rollback: always\nsteps:")))
    assert (back.state, back.undo_state, world.on) == ("failed", "done", [])


def test_a_finished_run_can_be_taken_back_once(world: World) -> None:
    run = go(start(ONCE))

    actions.undo(run.pk, actor="bob")
    run = go(run)

    assert (run.state, run.undo_state, world.on) == ("done", "done", [])
    with pytest.raises(WrongState):
        actions.undo(run.pk, actor="eve")


def test_a_way_back_that_fails_is_told_and_stops_no_other(world: World) -> None:
    run = go(start(ONCE + AGAIN))
    world.trouble = ["refused"]

    actions.undo(run.pk, actor="bob")
    run = go(run)

    assert (run.state, run.undo_state, world.on) == ("done", "failed", ["b"])
    assert "undo-again failed: The world moved" in run.reason


def test_a_failure_leads_where_the_step_says(world: World) -> None:
    world.trouble = ["refused"]
    leads = AGAIN.replace("attempts: 2,", "attempts: 1, onFailure: 'step:other',")
    between = "  - {id: between, title: T, action: run.note, with: {text: x}}\n"

    run = go(start(leads + between + OTHER))

    assert (run.state, world.on) == ("done", ["c"])
    assert states(run) == {"again": "failed", "between": "skipped", "other": "done"}


def test_a_fallback_is_not_done_where_nothing_failed(world: World) -> None:
    run = go(start(AGAIN + OTHER))

    assert (run.state, world.on, states(run)["other"]) == ("done", ["b"], "skipped")


def test_a_step_that_is_not_critical_may_fail(world: World) -> None:
    run = go(start(FAILS.replace("attempts: 1", "attempts: 1, isCritical: false") + AGAIN))

    assert (run.state, states(run)["fails"]) == ("done", "failed")


def test_the_time_of_all_attempts_together_is_kept_by_the_reaper(world: World) -> None:
    late = FAILS.replace("attempts: 1", "attempts: 9, within: 5s")
    run = start(late)
    go(run)
    deadline = queries.run_detail(run.pk).steps[0].deadline
    assert deadline is not None

    tasks.resume_stalled(now_ms=clock.to_ms(deadline))

    row = queries.run_detail(run.pk).run
    assert row.state == "failed"
    assert row.reason.startswith("its time was over: not as expected: term == 0")


def test_of_two_runs_that_need_the_same_lock_the_second_is_told_of_the_first(
    world: World,
) -> None:
    first = start(LOOK, name="mine")

    with pytest.raises(AlreadyActive) as caught:
        start(LOOK, name="yours", actor="bob")

    assert caught.value.run_id == first.pk
    start(LOOK, name="yours", mode="dry")
    go(first)
    start(LOOK, name="yours")


def test_a_dry_run_reads_for_real_and_sends_nothing(world: World) -> None:
    run = go(start(LOOK + ONCE + NOTE, mode="dry"))

    assert (run.state, run.mode, world.sent, world.on) == ("done", "dry", [], [])
    steps = {step.name: step.outcome for step in queries.run_detail(run.pk).steps}
    assert steps["look"]["term"] == 41
    assert steps["once"]["would_send"] == {
        "action": "throw.once",
        "call": {"switch": "a", "node": "node-1"},
    }
    assert steps["once"]["only_if"] == {"leader": "node-1", "term": 41}
    assert steps["once"]["precheck"] == "holds now"
    assert "not_run" in steps["say"]


def test_listeners_are_told_after_the_commit_and_a_bad_one_hurts_nobody(
    world: World, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[RunEvent] = []
    monkeypatch.setattr("tests.runbooks.hearing.HEARD", told)
    settings.RUN_LISTENERS = [  # type: ignore[attr-defined]
        "tests.runbooks.hearing.no_such_listener",
        "tests.runbooks.hearing.hear",
    ]

    with TestCase.captureOnCommitCallbacks(execute=True):
        run = start(ONCE, subject="incident:42")
        go(run)

    assert [event.to_state for event in told] == ["queued", "running", "done"]
    assert {event.subject for event in told} == {"incident:42"}
    assert told[0].requested_by == "ann"


def test_a_run_whose_action_is_gone_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(AGAIN)
    monkeypatch.delitem(STEP_ACTIONS, "throw.again")

    run = go(run)

    assert run.state == RunState.FAILED
    assert run.reason == "this release does not know throw.again; nothing was done"
