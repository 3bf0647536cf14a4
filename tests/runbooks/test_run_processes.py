"""Runs with real processes that are killed: the journal tells what happened, and work goes on."""

import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from django.db import connections

from runbooks import actions, clock, journal, queries
from runbooks.engine.machine import Perform, RunState, next_effect
from telemetry.client import QueryClient, TelemetryUnavailable
from tests.runbooks.conftest import eventually

pytestmark = pytest.mark.probe

SPINNER = """
import time
def spin_in_circles(until):
    while time.monotonic() < until:
        sum(range(500))
print("ready", flush=True)
spin_in_circles(time.monotonic() + 120)
"""


@pytest.fixture
def spinner():
    """A process that burns its time in one function."""
    with subprocess.Popen(
        [sys.executable, "-c", SPINNER], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def start_capture(target="node-1", seconds=2):
    return actions.start("capture-profile", target, {"seconds": seconds}, actor="ann")


def wait_until_done(run, house, timeout_s=40):
    def ended():
        row = queries.run_detail(run.pk).run
        return None if row.is_active else row

    row = eventually(ended, f"the run ends; worker: {house.log('worker')[-2000:]}", timeout_s)
    assert (row.state, row.reason) == ("done", "")
    return row


def start_telemetry(house):
    house.start("telemetry", sys.executable, "-m", "telemetry.serve")
    client = QueryClient(house.settings)

    def answers():
        try:
            return client.health()
        except TelemetryUnavailable:
            return None

    eventually(answers, "telemetry answers")
    return client


def test_a_profile_ends_in_stored_stacks_even_if_its_worker_is_killed_on_the_way(
    make_house, spinner
):
    house = make_house()
    house.register("node-1", spinner.pid)
    house.start_valkey()
    house.start_profiler()
    house.start_worker()
    house.start_watcher()
    client = start_telemetry(house)

    run = start_capture()
    first = wait_until_done(run, house)

    stored = client.profile(first.outcome["profile_id"])
    assert stored["target"] == "node-1"
    assert "spin_in_circles" in stored["collapsed"]
    assert first.outcome["samples"] > 50
    assert "spin_in_circles" in first.outcome["top"][0]["function"]
    assert 0 <= first.outcome["pause_percent"] < 100

    run = start_capture(seconds=3)
    eventually(lambda: queries.run_detail(run.pk).steps[0].state == "running", "it captures")
    house.kill("worker")
    house.start_worker()
    wait_until_done(run, house)

    lost, again = queries.run_detail(run.pk).steps[0].attempts
    assert (lost.state, again.state) == ("lost", "done")
    assert "worker died during capture; the reaper saw its lease expire at" in lost.reason


def test_runs_outlive_a_broker_that_is_killed_and_comes_back_empty(make_house, spinner):
    house = make_house()
    house.register("node-1", spinner.pid)
    house.start_profiler()
    house.start_valkey()
    start_telemetry(house)
    heard = start_capture("node-1", seconds=1)
    house.kill("valkey")
    begun = time.monotonic()
    assert actions.cancel(heard.pk, actor="ann").state == "cancelled"
    unheard = start_capture("node-1", seconds=1)
    actions.cancel(unheard.pk, actor="ann")
    actions.retry(heard.pk, actor="ann")
    assert time.monotonic() - begun < 2, "buttons work at their usual pace without a broker"

    house.start_valkey()
    house.start_watcher()
    house.start_worker()
    wait_until_done(heard, house)
    assert queries.run_detail(heard.pk).transitions[-1].to_state == "done"

    house.kill("valkey")
    eventually(lambda: house.beat("worker").note != "listening", "the worker misses the broker")
    house.start_valkey()
    wait_until_done(start_capture("node-1", seconds=1), house)


def test_of_many_workers_that_claim_at_the_same_moment_one_wins(make_house):
    make_house()
    run = start_capture()
    seen = journal.load(run.pk)
    effect = next_effect(seen, now_ms=clock.now_ms())
    assert isinstance(effect, Perform)
    together = threading.Barrier(6)
    claims = []

    def claim(worker):
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
    assert len(queries.run_detail(run.pk).steps[0].attempts) == 1


def test_the_watcher_outlives_a_missing_and_a_locked_database_and_ends_cleanly(make_house):
    house = make_house(migrate=False)
    watcher = house.start_watcher()
    eventually(lambda: "no such table" in house.beat("watcher").note, "it says what is missing")
    house.migrate()
    eventually(lambda: house.beat("watcher").note == "", "it works once the table is there")
    run = start_capture()

    lock = sqlite3.connect(house.home / "console.sqlite3", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    eventually(lambda: "locked" in house.beat("watcher").note, "it says that it is locked out")
    lock.execute("ROLLBACK")
    lock.close()
    eventually(lambda: queries.run_detail(run.pk).run.state == "queued", "reads work")
    eventually(lambda: "locked" not in house.beat("watcher").note, "it works again")
    watcher.send_signal(signal.SIGTERM)

    assert watcher.wait(10) == 0
    assert queries.state_of(run.pk) is RunState.QUEUED
    assert house.log("watcher").count("Traceback") == 0
