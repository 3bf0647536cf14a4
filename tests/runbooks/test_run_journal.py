"""Runs as people and workers see them, on the journal: no broker, no process, one database."""

import pytest
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries

from runbooks import actions, clock, driver, journal, queries, snapshots, tasks
from runbooks.engine.machine import Perform, next_effect
from runbooks.engine.plan import StepKind
from runbooks.engine.states import RunState
from runbooks.errors import (
    AlreadyActive,
    NoSuchRun,
    WrongState,
)
from runbooks.models import Attempt, Run, Step
from tests.runbooks.making import at_expiry, claim_next, done, failed, make_run

pytestmark = pytest.mark.django_db


def test_of_two_workers_that_saw_the_same_run_one_claims_it() -> None:
    run = make_run()
    now_ms = clock.now_ms()
    seen = snapshots.load(run.pk)
    effect = next_effect(seen, now_ms=now_ms)

    assert isinstance(effect, Perform)
    first = journal.claim(seen, effect, worker="host:1", now_ms=now_ms)
    second = journal.claim(seen, effect, worker="host:2", now_ms=now_ms)

    assert first is not None
    assert second is None
    assert Attempt.objects.count() == 1


def test_the_database_refuses_a_second_running_attempt() -> None:
    claim = claim_next(make_run())
    twin = Attempt.objects.get(pk=claim.attempt_id)
    twin.pk, twin.number = None, 2

    with pytest.raises(IntegrityError), transaction.atomic():
        twin.save(force_insert=True)


def test_a_run_ends_done_with_the_outcome_of_its_last_step_and_drops_what_steps_handed_on() -> None:
    run = make_run()
    assert journal.record(claim_next(run), done(b"stacks" * 99, samples=5), now_ms=clock.now_ms())
    assert journal.record(claim_next(run), done(profile_id="p1"), now_ms=clock.now_ms())

    driver.settle(run.pk, now_ms=clock.now_ms())

    detail = queries.run_detail(run.pk)
    assert (detail.run.state, detail.run.outcome) == ("done", {"profile_id": "p1"})
    assert [line.to_state for line in detail.transitions] == ["queued", "running", "done"]
    assert [bytes(step.payload) for step in run.steps.all()] == [b"", b""]
    assert detail.run.took_s is not None


def test_an_expired_lease_is_told_and_the_step_is_tried_once_more() -> None:
    run = make_run()
    claim = claim_next(run, worker="host:1")
    expiry_ms = at_expiry(claim)

    tasks.resume_stalled(now_ms=expiry_ms - 1)
    assert queries.state_of(run.pk) is RunState.RUNNING
    assert Attempt.objects.get(pk=claim.attempt_id).state == "running"
    tasks.resume_stalled(now_ms=expiry_ms)

    step = queries.run_detail(run.pk).steps[0]
    assert (step.state, step.attempts[0].state) == ("queued", "lost")
    expected = f"the reaper saw its lease expire at {clock.as_text(expiry_ms)} (host:1)"
    assert step.attempts[0].reason == f"worker died during capture; {expected}"
    second = claim_next(run, now_ms=expiry_ms)
    assert second.attempt_number == 2


def test_a_step_lost_twice_fails_the_run_until_somebody_retries() -> None:
    run = make_run()
    for _ in range(2):
        expiry_ms = at_expiry(claim_next(run))
        tasks.resume_stalled(now_ms=expiry_ms)
    row = queries.recent_runs(1)[0]
    assert (row.state, row.can_retry) == ("failed", True)
    assert "worker died during capture" in row.reason

    again = actions.retry(run.pk, actor="bob")

    assert (again.state, again.reason) == ("queued", "")
    claim = claim_next(run)
    assert claim.attempt_number == 3
    assert queries.run_detail(run.pk).transitions[-2].actor == "bob"


def test_a_run_that_can_not_be_settled_holds_up_none_behind_it() -> None:
    broken, other = make_run(), make_run(target="node-2")
    expiry_ms = max(at_expiry(claim_next(run)) for run in (broken, other))
    Step.objects.filter(run=broken).update(kind="approval", state="queued", spec={})
    Attempt.objects.filter(step__run=broken).update(
        state="lost", finished_at=clock.from_ms(expiry_ms)
    )
    Run.objects.filter(pk=broken.pk).update(ring_at=broken.created_at)

    with pytest.raises(AssertionError):
        tasks.resume_stalled(now_ms=expiry_ms)

    assert queries.run_detail(other.pk).steps[0].attempts[0].state == "lost"


def test_a_renewed_lease_is_not_reaped() -> None:
    run = make_run()
    claim = claim_next(run)
    expiry_ms = at_expiry(claim)

    assert journal.renew(claim, now_ms=expiry_ms - 1)

    tasks.resume_stalled(now_ms=expiry_ms)
    assert Attempt.objects.get(pk=claim.attempt_id).state == "running"


def test_a_lease_never_outlives_the_steps_time() -> None:
    claim = claim_next(make_run(params={"seconds": 1}))

    assert journal.renew(claim, now_ms=claim.deadline_ms - 1)

    assert at_expiry(claim) == claim.deadline_ms
    assert not journal.renew(claim, now_ms=claim.deadline_ms)


def test_a_report_after_the_lease_was_reaped_changes_nothing() -> None:
    run = make_run()
    claim = claim_next(run)
    tasks.resume_stalled(now_ms=at_expiry(claim))

    assert not journal.record(claim, done(samples=1), now_ms=clock.now_ms())
    assert not journal.renew(claim, now_ms=clock.now_ms())

    assert queries.run_detail(run.pk).steps[0].outcome == {}


def test_an_attempt_given_back_is_not_used_up() -> None:
    run = make_run()
    for _ in range(3):
        assert journal.release(claim_next(run), now_ms=clock.now_ms(), reason="told to stop")

    step = queries.run_detail(run.pk).steps[0]
    assert (step.state, len(step.attempts)) == ("queued", 3)


def test_a_failed_step_is_tried_again_and_then_fails_the_run_with_its_reason() -> None:
    run = make_run()
    for _ in range(2):
        assert journal.record(claim_next(run), failed("no such process"), now_ms=clock.now_ms())

    driver.settle(run.pk, now_ms=clock.now_ms())

    row = queries.recent_runs(1)[0]
    assert (row.state, row.reason) == ("failed", "no such process")


def test_a_retry_keeps_the_steps_that_are_done() -> None:
    run = make_run()
    journal.record(claim_next(run), done(b"stacks", samples=5), now_ms=clock.now_ms())
    for _ in range(5):
        journal.record(claim_next(run), failed("telemetry is down"), now_ms=clock.now_ms())
    driver.settle(run.pk, now_ms=clock.now_ms())

    actions.retry(run.pk, actor="ann")

    claim = claim_next(run)
    assert claim.step_name == "store"


def make_guarded_run() -> Run:
    run = make_run()
    run.steps.update(kind=StepKind.GUARDED.value)
    return run


def test_a_guarded_step_that_is_lost_leaves_the_run_unknown_until_a_person_decides() -> None:
    run = make_guarded_run()
    tasks.resume_stalled(now_ms=at_expiry(claim_next(run)))
    assert queries.state_of(run.pk) is RunState.UNKNOWN

    actions.retry(run.pk, actor="bob")

    tasks.resume_stalled(now_ms=at_expiry(claim_next(run)))
    assert queries.state_of(run.pk) is RunState.UNKNOWN
    assert len(queries.run_detail(run.pk).steps[0].attempts) == 2


def test_a_guarded_step_under_way_is_finished_before_its_run_is_cancelled() -> None:
    run = make_guarded_run()
    claim = claim_next(run)

    assert actions.cancel(run.pk, actor="bob").state == "running"
    assert not queries.recent_runs(1)[0].can_cancel

    assert journal.record(claim, done(samples=1), now_ms=clock.now_ms())
    driver.settle(run.pk, now_ms=clock.now_ms())
    detail = queries.run_detail(run.pk)
    assert (detail.run.state, detail.steps[0].state) == ("cancelled", "done")


def test_a_missing_profiler_is_a_sentence_in_the_run_and_not_an_exception() -> None:
    run = make_run()

    assert not driver.advance(run.pk, worker="host:1")

    attempt = queries.run_detail(run.pk).steps[0].attempts[0]
    assert attempt.state == "failed"
    assert attempt.reason.startswith("the profiler does not answer: ")


def test_a_defect_in_an_action_is_a_sentence_in_the_run_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = make_run()
    journal.record(claim_next(run), done(b"not stacks"), now_ms=clock.now_ms())

    assert not driver.advance(run.pk, worker="host:1")

    attempt = queries.run_detail(run.pk).steps[1].attempts[0]
    assert attempt.reason == "store failed unexpectedly: KeyError: 'started_ms'"
    assert "a step failed unexpectedly" in caplog.text


def test_a_queued_run_is_cancelled_at_once() -> None:
    run = actions.cancel(make_run().pk, actor="bob")

    assert (run.state, run.reason) == ("cancelled", "cancelled by bob")
    assert queries.recent_runs(1)[0].can_retry


def test_cancelling_a_capture_under_way_ends_the_run_and_drops_the_late_report() -> None:
    run = make_run()
    claim = claim_next(run)

    assert actions.cancel(run.pk, actor="bob").state == "cancelled"

    assert not journal.renew(claim, now_ms=clock.now_ms())
    assert not journal.record(claim, done(), now_ms=clock.now_ms())
    assert Attempt.objects.get(pk=claim.attempt_id).state == "cancelled"


def test_who_cancels_or_retries_second_is_told_who_was_first() -> None:
    run = make_run()
    actions.cancel(run.pk, actor="bob")

    with pytest.raises(WrongState, match="cancelled by bob"):
        actions.cancel(run.pk, actor="ann")
    actions.retry(run.pk, actor="ann")
    with pytest.raises(WrongState, match="queued by ann"):
        actions.retry(run.pk, actor="bob")


def test_a_retry_gives_way_to_a_newer_run_on_the_same_target() -> None:
    old = make_run(target="node-1")
    actions.cancel(old.pk, actor="ann")
    make_run(target="node-1", actor="bob")

    with pytest.raises(AlreadyActive, match="by bob"):
        actions.retry(old.pk, actor="ann")

    assert queries.state_of(old.pk) is RunState.CANCELLED


def test_a_run_past_its_deadline_fails_without_any_worker() -> None:
    run = make_run()

    tasks.resume_stalled(now_ms=clock.to_ms(run.deadline))

    row = queries.recent_runs(1)[0]
    assert row.state == "failed"
    assert row.reason == "the run's deadline passed before capture ended"


def test_a_lost_bell_is_rung_again_twice_as_late_each_time() -> None:
    run = make_run()
    first_ms = clock.to_ms(run.ring_at)
    rung = []

    for now_ms in (first_ms - 1, first_ms, first_ms + 7_999, first_ms + 8_000, first_ms + 23_999):
        tasks.resume_stalled(now_ms=now_ms)
        rung.append(Run.objects.get(pk=run.pk).ring_count)

    assert rung == [0, 1, 1, 2, 2]


def test_a_run_that_does_not_exist_is_named() -> None:
    with pytest.raises(NoSuchRun, match="no run 9999"):
        queries.run_detail(9999)
    with pytest.raises(NoSuchRun):
        actions.retry(9999, actor="ann")
    with pytest.raises(NoSuchRun):
        actions.cancel(9999, actor="ann")


def test_lists_take_one_query_and_a_detail_four(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    runs = [make_run() for _ in range(5)]
    claim_next(runs[0])

    with django_assert_num_queries(1):
        assert len(queries.recent_runs(3)) == 3
    with django_assert_num_queries(1):
        assert len(queries.active_runs()) == 5
    with django_assert_num_queries(4):
        queries.run_detail(runs[0].pk)
