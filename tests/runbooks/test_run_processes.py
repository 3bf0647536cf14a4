"""Runs with real processes that are killed: the journal tells what happened, and work goes on."""

import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections
from opentelemetry.sdk.trace import TracerProvider
from pytest_django.plugin import DjangoDbBlocker

from runbooks import actions, clock, journal, queries, snapshots
from runbooks.engine.machine import Perform, next_effect
from runbooks.engine.states import RunState
from runbooks.journal import Claim
from runbooks.models import Run
from runbooks.queries import AttemptRow, RunRow
from telemetry.client import QueryClient
from tests.runbooks.house import House, eventually, lived_in

pytestmark = pytest.mark.probe


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database; making one costs seconds."""
    house = House(tmp_path_factory.mktemp("tables"))
    house.migrate()
    return house.home / "console.sqlite3"


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory, tables: Path) -> Iterator[House]:
    """A house with everything in it running, shared by the tests that leave it so."""
    house = House(tmp_path_factory.mktemp("staffed"))
    try:
        house.take_tables(tables)
        house.start_valkey()
        house.start_profiler_and_target("node-1")
        house.start_telemetry()
        house.start_watcher()
        house.start_worker()
        yield house
    finally:
        house.close()


@pytest.fixture
def full_house(staffed: House, django_db_blocker: DjangoDbBlocker) -> Iterator[House]:
    with django_db_blocker.unblock(), lived_in(staffed):
        yield staffed


@pytest.fixture
def empty_house(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[House]:
    """A house of one's own, without a table and without a process."""
    house = House(tmp_path_factory.mktemp("empty"))
    try:
        with django_db_blocker.unblock(), lived_in(house):
            yield house
    finally:
        house.close()


def start_capture(seconds: int = 1) -> Run:
    return actions.start("capture-profile", "node-1", {"seconds": seconds}, actor="ann")


def attempts_of(run: Run) -> tuple[AttemptRow, ...]:
    return queries.run_detail(run.pk).steps[0].attempts


def wait_until_captures(run: Run) -> None:
    eventually(lambda: [a for a in attempts_of(run) if a.state == "running"], "it captures")


def wait_until_done(run: Run, house: House) -> RunRow:
    def ended() -> RunRow | None:
        row = queries.run_detail(run.pk).run
        return None if row.is_active else row

    row = eventually(ended, f"run {run.pk} ends", timeout_s=40)
    assert (row.state, row.reason) == ("done", ""), house.log("worker")[-2000:]
    return row


def test_a_profile_ends_in_stored_stacks(full_house: House) -> None:
    row = wait_until_done(start_capture(seconds=2), full_house)

    stored = QueryClient(full_house.settings).profile(str(row.outcome["profile_id"]))
    assert stored is not None
    assert stored["target"] == "node-1"
    assert "spin_in_circles" in stored["collapsed"]
    assert stored["samples"] == row.outcome["samples"]
    assert stored["samples"] > 50
    top = row.outcome["top"]
    assert isinstance(top, list)
    assert "spin_in_circles" in top[0]["function"]
    assert 0 <= stored["pause_percent"] < 100


def test_one_trace_runs_from_the_button_to_the_step(full_house: House) -> None:
    with TracerProvider().get_tracer("button").start_as_current_span("press") as span:
        trace_id = f"{span.get_span_context().trace_id:032x}"
        run = start_capture()

    assert wait_until_done(run, full_house).trace_id == trace_id

    def spans() -> set[str]:
        found = QueryClient(full_house.settings).trace(trace_id) or {"spans": []}
        return {span["name"] for span in found["spans"]}

    eventually(lambda: {"perform capture", "perform store"} <= spans(), "the spans are stored")


def test_a_cancelled_capture_is_dropped_and_frees_its_target(full_house: House) -> None:
    run = start_capture(seconds=30)
    wait_until_captures(run)

    assert actions.cancel(run.pk, actor="bob").state == "cancelled"

    begun = time.monotonic()
    wait_until_done(start_capture(), full_house)
    assert time.monotonic() - begun < 20
    assert [attempt.state for attempt in attempts_of(run)] == ["cancelled"]


def test_a_worker_that_is_killed_in_a_capture_is_told_and_the_capture_repeated(
    full_house: House,
) -> None:
    run = start_capture(seconds=2)
    wait_until_captures(run)

    full_house.kill("worker")
    full_house.start_worker()
    wait_until_done(run, full_house)

    lost, again = attempts_of(run)
    assert (lost.state, again.state) == ("lost", "done")
    assert "worker died during capture; the reaper saw its lease expire at" in lost.reason


def test_a_worker_that_is_told_to_stop_gives_its_capture_back(full_house: House) -> None:
    run = start_capture(seconds=30)
    wait_until_captures(run)
    worker = full_house.processes["worker"]

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(15) == 0
    assert [attempt.state for attempt in attempts_of(run)] == ["released"]
    assert queries.state_of(run.pk) is RunState.RUNNING
    actions.cancel(run.pk, actor="ann")
    full_house.start_worker()


def test_runs_outlive_a_broker_that_is_killed_and_comes_back_empty(full_house: House) -> None:
    full_house.kill("worker")
    heard = start_capture()
    full_house.kill("valkey")
    begun = time.monotonic()
    actions.cancel(heard.pk, actor="ann")
    actions.retry(heard.pk, actor="ann")
    assert time.monotonic() - begun < 2, "a button keeps its pace without a broker"

    full_house.start_valkey()
    full_house.start_worker()
    wait_until_done(heard, full_house)

    full_house.kill("valkey")
    eventually(lambda: full_house.beat("worker").note != "listening", "the worker misses it")
    full_house.start_valkey()
    wait_until_done(start_capture(), full_house)


def test_of_many_workers_that_claim_at_the_same_moment_one_wins(
    empty_house: House, tables: Path
) -> None:
    empty_house.take_tables(tables)
    run = start_capture()
    seen = snapshots.load(run.pk)
    effect = next_effect(seen, now_ms=clock.now_ms())
    assert isinstance(effect, Perform)
    together = threading.Barrier(6)
    claims: list[Claim | None] = []

    def claim(worker: str) -> None:
        together.wait(10)
        claims.append(journal.claim(seen, effect, worker=worker, now_ms=clock.now_ms()))
        connections.close_all()

    threads = [threading.Thread(target=claim, args=(f"host:{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(claims) == 6
    assert len([claim for claim in claims if claim is not None]) == 1
    assert len(attempts_of(run)) == 1


def test_the_watcher_outlives_a_missing_and_a_locked_database_and_ends_cleanly(
    empty_house: House, tables: Path
) -> None:
    house = empty_house
    watcher = house.start_watcher()
    eventually(lambda: "no such table" in house.beat("watcher").note, "it says what is missing")
    house.take_tables(tables)
    eventually(lambda: house.beat("watcher").note == "", "it works once the table is there")
    run = start_capture()
    # The watcher writes only where a bell is due.
    Run.objects.filter(pk=run.pk).update(ring_at=run.created_at)

    lock = sqlite3.connect(house.home / "console.sqlite3", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    eventually(lambda: "locked" in house.beat("watcher").note, "it says that it is locked out")
    lock.execute("ROLLBACK")
    lock.close()
    eventually(lambda: "locked" not in house.beat("watcher").note, "it works again")
    watcher.send_signal(signal.SIGTERM)

    assert watcher.wait(10) == 0
    assert queries.state_of(run.pk) is RunState.QUEUED
    assert "Traceback" not in house.log("watcher")
