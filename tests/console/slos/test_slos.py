"""The SLOs page, the first page's panel and answer, the API and the command, from one file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from console.alerts.actions import record_transitions
from console.slos import state
from console.slos.actions import record_minutes
from console.slos.minutes import kept_minutes
from console.slos.models import SloMinute
from console.slos.queries import budgets, status
from telemetry.slo import objectives as objectives_file
from telemetry.slo.counts import MINUTES_KEPT, Counts, Minute
from telemetry.slo.objectives import Objectives
from tests.console.twins import FleetTwin
from tests.telemetry.slo.replay import Stretch, World

pytestmark = pytest.mark.django_db

USUAL = Stretch(length_s=1, words="writes 10 reads 12")
STALL = Stretch(length_s=1, words="writes 10 slow 10 reads 12")
DRILL = Stretch(length_s=1, words="writes 10 slow 10 reads 12 drill")
DARK = Stretch(length_s=1, words="writes 10 reads 12 telemetry down")

Tell = Callable[..., None]


@pytest.fixture
def tell() -> Iterator[Tell]:
    """The watcher's file, after a young fleet's two minutes and then what is given."""
    run: Path = settings.HOLDFAST.run
    run.mkdir(parents=True, exist_ok=True)

    def write(*stretches: tuple[int, Stretch], error: str = "", age_s: int = 0) -> None:
        lived = [(150, USUAL), *stretches]
        world = World(int(time.time()) - sum(seconds for seconds, _ in lived) + 1 - age_s)
        number = 0
        for seconds, stretch in lived:
            for _ in range(seconds):
                turned = world.second(number, stretch)
                if turned.transitions:
                    record_transitions(turned.transitions)
                number += 1
        found = objectives_file.effective(settings.HOLDFAST)
        shown = Objectives(rows=found.rows, path=found.path, digest=found.digest, error=error)
        state.write(run, turned, shown, unrecorded=0, lost=0)

    yield write
    (run / state.FILE_NAME).unlink(missing_ok=True)


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_met_objectives_are_green_with_how_long_they_were_measured(
    client: Client, tell: Tell
) -> None:
    tell()

    page = text_of(client, "/slos")

    assert "All 4 objectives met since" in page
    assert "Measured for " in page and "budgets count from 30 min on" in page
    assert page.count(">met<") == 4
    assert "95 % of writes within 50 ms, over 30 days" in page


def test_a_burning_objective_is_the_answer_and_comes_first(client: Client, tell: Tell) -> None:
    tell((20, STALL))

    page, now = text_of(client, "/slos"), text_of(client, "/")

    assert page.index("slo-write-latency") < page.index("slo-read-latency")
    assert ">burning<" in page and ">pages<" in page
    for each in (page, now):
        assert "<h1" in each and "Writes are slow: 100 % over 50 ms for" in each
    assert 'id="budget-write-latency"' in now


def test_a_drill_is_named_where_its_fire_is_shown(client: Client, tell: Tell) -> None:
    tell((20, DRILL))

    page, now = text_of(client, "/slos"), text_of(client, "/")

    assert "drill 88 is doing this" in now
    assert "drill 88" in page and "% by drills" in page and 'class="hatch-line"' not in now


def test_without_telemetry_latency_is_not_seen_and_nothing_is_green_for_it(
    client: Client, tell: Tell
) -> None:
    tell((40, DARK))

    page = text_of(client, "/slos")

    assert page.count(">not seen<") == 2
    assert "the nodes&#x27; own counters" in page


def test_a_silent_watcher_is_blindness_not_health(client: Client, tell: Tell) -> None:
    nothing = text_of(client, "/slos")
    tell(age_s=60)
    silent = text_of(client, "/slos")

    assert "the watcher has written nothing yet" in nothing
    assert "the watcher is silent since" in silent and ">met<" not in silent
    assert budgets() == () and status().met is None


def test_an_error_of_the_file_is_shown_where_objectives_are(client: Client, tell: Tell) -> None:
    tell(error="var/objectives.yaml:5: target_percent: a number from 50 to 99.999")

    page = text_of(client, "/slos")

    assert page.count("var/objectives.yaml:5: target_percent") == 2
    assert "What was in force before stays so" in page


def test_the_first_page_needs_no_more_queries_for_its_budgets(
    client: Client, tell: Tell, django_assert_num_queries: Any
) -> None:
    tell((20, STALL))

    # The session, the person, the open incidents beside the rail, the day's minutes.
    with django_assert_num_queries(4):
        client.get("/slos")


def test_budgets_and_status_say_what_others_rest_on(tell: Tell) -> None:
    tell((20, STALL))

    first, found = budgets()[0], status()

    assert first.name == "write-latency" and first.left_percent < 100 and first.burn > 1
    assert (found.met, found.burning) == (False, ("write-latency",))
    assert found.since_ms is not None and found.as_of_ms is not None


def test_met_again_counts_from_the_start_of_the_first_good_half_minute(tell: Tell) -> None:
    tell((20, STALL), (80, USUAL))

    found = status()

    assert found.met is True
    assert found.since_ms is not None and found.as_of_ms is not None
    # Known 3 s late; of the 20 bad seconds one may lie in a half minute that is met.
    good_s = (found.as_of_ms - found.since_ms) / 1000
    assert 79 <= good_s <= 83


def test_the_api_says_the_same(client: Client, tell: Tell, fleet: FleetTwin) -> None:
    tell((20, STALL))

    found = client.get("/api/v1/slos").json()

    assert (found["fresh"], found["met"], found["burning"]) == (True, False, ["write-latency"])
    assert found["firing"][0]["rule"] == "write-latency"
    assert [tier["name"] for tier in found["objectives"][0]["tiers"]][-1] == "flash"


def run_command(*words: str) -> tuple[int, str]:
    out, code = StringIO(), 0
    try:
        call_command("slo", *words, stdout=out, stderr=out)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, out.getvalue()


@pytest.mark.parametrize(
    ("stretches", "code", "said"),
    [
        ((), 0, "met       write-availability"),
        (((20, STALL),), 1, "NOT MET   write-latency"),
        (((40, DARK),), 3, "can't tell: nobody counts for write-latency, read-latency"),
    ],
)
def test_exit_codes_are_for_pipelines(
    tell: Tell, stretches: tuple[tuple[int, Stretch], ...], code: int, said: str
) -> None:
    tell(*stretches)

    for verb in ("list", "check"):
        found = run_command(verb)
        assert found[0] == code and said in found[1]
    assert (
        json.loads(run_command("check", "--json")[1])["met"] is {0: True, 1: False, 3: None}[code]
    )


def test_a_bad_file_is_exit_2_with_its_line(tell: Tell) -> None:
    tell()
    path: Path = settings.HOLDFAST.home / "objectives.yaml"
    path.write_text("version: 1\nobjectives:\n  - name: speed\n    target_percent: 1\n")

    try:
        code, said = run_command("check")
        as_json = json.loads(run_command("check", "--json")[1])
    finally:
        path.unlink()

    assert code == 2
    assert f"{path}:3: name: one of write-availability, " in said
    assert as_json["file"]["error"].startswith(f"{path}:3")


def test_old_minutes_come_back_by_the_hour_and_older_ones_go() -> None:
    now_minute = 28_333_380  # the start of an hour
    old = [
        Minute("write-latency", now_minute - MINUTES_KEPT - 700 + n, Counts(60, 2, 1))
        for n in range(120)
    ]
    new = [Minute("write-latency", now_minute - 2 + n, Counts(60, 0)) for n in range(2)]
    gone = Minute("write-latency", now_minute - 32 * 1440, Counts(1, 1))
    record_minutes([gone])

    record_minutes([*old, *new])
    record_minutes([Minute("write-latency", now_minute - 1, Counts(9, 9))])
    minutes, hours = kept_minutes(now_minute * 60_000)

    assert SloMinute.objects.count() == 122
    assert set(minutes["write-latency"].values()) == {Counts(60, 0)}
    found = hours["write-latency"]
    assert sum(covered for _, covered in found.values()) == 120
    assert sum(counts.bad for counts, _ in found.values()) == 240
    assert all(abs(hour * 60 - now_minute) < MINUTES_KEPT + 800 for hour in found)
