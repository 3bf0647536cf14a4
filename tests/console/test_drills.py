"""Drills in the console: the list, the report, the button that stops one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from console.accounts.actions import make_api_token
from console.accounts.scopes import Scope
from console.drills import hooks
from console.incidents.models import Incident
from runbooks import actions as runs
from runbooks.clock import from_ms, to_ms
from runbooks.drills import history, journal, mark, watching
from runbooks.drills.folder import DrillFolder, EventWriter
from runbooks.drills.mark import DrillMark
from runbooks.drills.models import Drill
from runbooks.models import Run
from tests.drills.making import read, refused, unknown, write

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = [
    *(write(n, n + 1, 50_000 * n, 50_000 * n + 2_000, at=n + 1) for n in range(40)),
    refused(40, 41, 2_100_000, 2_101_000),
    unknown(41, 42, 2_200_000),
    read(42, 40, 2_500_000, 2_502_000, at=40),
]
OUT = {"path": "node-1", "was_out": True, "ms": 74.0}
CONSISTENCY: dict[str, object] = {
    "verdict": "linearizable", "operations": 43, "unknown": 1, "seconds": 0.1,
    "sentence": "", "counterexample": [], "culprit": None,
}  # fmt: skip
NUMBERS: dict[str, object] = {
    "rto": {"core": OUT, "door": OUT, "sdk": OUT, "reads": OUT, "target_ms": 3000, "paths": [OUT]},
    "rpo": {"acknowledged": 40, "missing": 0, "read_back": 40},
    "consistency": CONSISTENCY,
}


@pytest.fixture
def run_folder() -> Iterator[Path]:
    folder: Path = settings.HOLDFAST.run
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    (folder / "drill.json").unlink(missing_ok=True)


@pytest.fixture
def drill(db: None) -> Drill:
    """One under way, with a history of its own."""
    run = runs.start("drill", "fleet", {"scenario": "failover-leader", "seed": 7}, actor="ada")
    folder = DrillFolder(settings.HOLDFAST.home, run.pk)
    folder.make({"run_id": run.pk, "key": run.key})
    lines = [line for op in OPERATIONS for line in both(op)]
    folder.history.write_text("\n".join(lines) + "\n")
    writer = EventWriter(folder.events, started_s=0.0)
    writer.note("leader", node=0, term=3)
    writer.close()
    return journal.create(run)


def both(op: history.Operation) -> list[str]:
    lines = [history.invoked(op)]
    return lines if op.completed_us is None else [*lines, history.completed(op)]


def conclude(drill: Drill, verdict: str, numbers: dict[str, object] | None = None) -> None:
    told = {
        "verdict": verdict, "reason": "", "faulted_ms": 1_000_000, "healed_ms": 1_006_000,
        "finished_ms": 1_010_000, "truth": ["node-0", "node_down"], "numbers": numbers or NUMBERS,
    }  # fmt: skip
    assert journal.conclude(drill.pk, told)


def test_the_list_names_every_scenario_and_guard(client: Client) -> None:
    page = client.get("/drills").content.decode()

    assert "failover-leader" in page
    assert "noisy-tenant" in page
    assert "quorum-margin" in page
    assert "Nothing proven yet" in page or "No drill now" in page


def test_a_guard_that_fails_refuses_the_button_and_starts_nothing(client: Client) -> None:
    answer = client.post("/drills", {"scenario": "failover-leader"})

    assert answer.status_code == 409
    assert "fleet-answers" in answer.content.decode()
    assert not Run.objects.exists()


def test_an_unknown_scenario_is_refused_by_name(client: Client) -> None:
    answer = client.post("/drills", {"scenario": "meteor"})

    assert answer.status_code == 400
    assert "failover-leader" in answer.content.decode()


def test_a_report_says_the_verdict_first(client: Client, drill: Drill) -> None:
    conclude(drill, "passed")

    page = client.get(f"/drills/{drill.pk}").content.decode()

    assert "Passed: leader killed, writes back in 74.0" in page
    assert page.index("Linearizable") < page.index("Every operation")
    assert page.count("strip-failed") >= 1
    assert page.count('class="strip-unknown"') == 1
    assert "every 2s" not in page


def test_a_counterexample_stands_above_the_strip(client: Client, drill: Drill) -> None:
    violated = CONSISTENCY | {
        "verdict": "violated",
        "sentence": "Client 3 read version 7 after version 9 was acknowledged",
        "culprit": 2,
        "counterexample": [
            {"index": 2, "client": 3, "path": "node-0", "kind": "read", "key": "r-1", "value": 1,
             "version": "v", "expected": "", "outcome": "ok", "invoked_us": 5, "completed_us": 9}
        ],
    }  # fmt: skip
    conclude(drill, "violated", NUMBERS | {"consistency": violated})

    page = client.get(f"/drills/{drill.pk}").content.decode()

    assert page.index("read version 7 after version 9") < page.index("Every operation")
    assert "impossible" in page


def test_a_drill_under_way_keeps_its_page_fresh_and_can_be_stopped(
    client: Client, drill: Drill
) -> None:
    page = client.get(f"/drills/{drill.pk}").content.decode()
    stopped = client.post(f"/drills/{drill.pk}/stop")

    assert "every 2s" in page
    assert stopped.status_code == 302
    asked = DrillFolder(settings.HOLDFAST.home, drill.pk).stop_asked()
    assert asked == {"actor": "ada", "reason": "stopped by ada"}


def test_who_stops_a_drill_that_just_ended_is_told_so_on_its_page(
    client: Client, drill: Drill
) -> None:
    conclude(drill, "passed")

    answer = client.post(f"/drills/{drill.pk}/stop", follow=True)

    assert answer.status_code == 200 and "It was over already" in answer.content.decode()
    assert "It was over already" not in client.get(f"/drills/{drill.pk}").content.decode()
    api = client.post(f"/api/v1/drills/{drill.pk}/stop", "", content_type="application/json")
    assert api.status_code == 409 and "is over" in api.json()["title"]
    out = StringIO()
    call_command("drill", "stop", str(drill.pk), stdout=out)
    assert out.getvalue() == f"drill {drill.pk} is over: passed; there is nothing left to stop\n"


def test_a_token_for_runs_breaks_nothing_on_purpose(db: None) -> None:
    ends = timezone.now() + timedelta(days=1)
    secret = make_api_token("ci", scopes=[Scope.RUNS_WRITE], expires_at=ends, made_by="ada")
    bearer = {"Authorization": f"Bearer {secret}"}

    answer = Client().post(
        "/api/v1/drills", '{"scenario": "failover-leader"}', "application/json", headers=bearer
    )

    assert (answer.status_code, answer.json()["expected"]) == (403, "drills:write")
    assert not Drill.objects.exists()


def test_every_page_can_stop_the_drill_under_way(client: Client, run_folder: Path) -> None:
    assert "stop-drill" not in client.get("/cluster").content.decode()

    until_ms = 4_000_000_000_000
    mark.write(run_folder, DrillMark(run_id=5, scenario="x", since_ms=0, until_ms=until_ms))

    assert 'action="/drills/5/stop"' in client.get("/cluster").content.decode()


def test_a_report_can_be_taken_away_in_three_forms(client: Client, drill: Drill) -> None:
    conclude(drill, "passed")

    told = json.loads(client.get(f"/drills/{drill.pk}/json").content)
    text = client.get(f"/drills/{drill.pk}/markdown").content.decode()
    kept = client.get(f"/drills/{drill.pk}/history")
    lines = b"".join(kept).decode()

    assert (told["verdict"], told["truth"]["kind"]) == ("passed", "node_down")
    assert text.startswith("# Passed: leader killed")
    assert len(history.parse(lines.splitlines())) == len(OPERATIONS)


def test_a_drill_that_is_not_there_is_said_to_be_not_there(client: Client, db: None) -> None:
    assert client.get("/drills/999").status_code == 404
    assert client.post("/drills/999/stop").status_code == 404


def make_incident(**fields: object) -> Incident:
    at = from_ms(1_002_000)
    return Incident.objects.create(
        **({"key": "k", "state": "open", "severity": "page", "headline": "h", "scope": "s",
            "onset_at": at, "opened_at": at} | fields)
    )  # fmt: skip


def test_a_real_open_page_forbids_a_drill_and_a_drills_own_does_not(db: None) -> None:
    make_incident(drill_run=4)
    assert hooks.no_real_incident(0).passed

    make_incident(key="real")
    assert not hooks.no_real_incident(0).passed


def test_a_report_says_what_the_console_made_of_it_before_it_is_judged(drill: Drill) -> None:
    incident = make_incident(drill_run=drill.pk, cause_entity="node-0", cause_kind="node_down")

    hooks.note_responses(to_ms(drill.created_at) + 1000)

    drill.refresh_from_db()
    assert (drill.triage, drill.was_judged) == ("", None)
    assert drill.response["incident_id"] == incident.pk
    assert drill.response["detected_ms"] == 1_002_000


def test_without_a_database_the_terminal_gets_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), "drill", "run", "failover-leader"]
    environment = {**os.environ, "HOLDFAST_HOME": str(tmp_path)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)

    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    assert told.returncode == 8
    assert "the console's database can't be used" in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1, told.stderr


def test_a_list_of_runs_tells_drills_apart(client: Client, drill: Drill) -> None:
    assert "Drill failover-leader" in client.get("/runs").content.decode()


@pytest.mark.parametrize("told", [{}, {"verdict": "brilliant"}, {"verdict": None}])
def test_a_result_that_is_none_ends_its_drill(
    drill: Drill, run_folder: Path, told: dict[str, object]
) -> None:
    """It would else be asked for its verdict every second, and stand in the way of all others."""
    folder = DrillFolder(settings.HOLDFAST.home, drill.pk)
    folder.conclude(told)

    watching.settle(drill, folder)

    drill.refresh_from_db()
    assert drill.verdict == "aborted"
    assert drill.reason.startswith("its result can't be used")
