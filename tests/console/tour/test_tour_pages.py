"""The strip on real pages: what each step shows, and that it costs the other pages nothing."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.accounts.models import Person
from console.incidents.models import Incident
from console.tour.actions import tour_of
from console.triage.models import Diagnosis, Finding
from runbooks import actions as runs
from runbooks import clock, heartbeat
from runbooks.drills import guards, journal
from runbooks.drills.models import Drill
from runbooks.models import Run
from storage_core.client import NodeStatus
from telemetry import names
from telemetry.config import Settings
from tests.console.conftest import make_person
from tests.console.twins import FleetTwin, QueryTwin, make_node

NOW = "/"


def tour(person: User) -> Any:
    found = tour_of(User.objects.select_related("person").get(pk=person.pk))
    assert found is not None
    return found


def strip(client: Client, step: int) -> str:
    return client.get("/tour", {"step": step}).content.decode()


class StatusTwin:
    """The guards' view of the same healthy fleet."""

    def __init__(self, _settings: Settings) -> None:
        self.nodes = {n: make_node(n) for n in range(3)}

    def statuses(self) -> dict[int, NodeStatus]:
        return self.nodes


@pytest.fixture
def guards_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "FleetClient", StatusTwin)
    run_folder = settings.HOLDFAST.run
    run_folder.mkdir(parents=True, exist_ok=True)
    assert heartbeat.beat(run_folder, heartbeat.WORKER, note="idle", now_ms=clock.now_ms())


def write_spans(node: str = "node-0") -> list[dict[str, object]]:
    """A write of 4 ms whose flush took 3 of them, as the query port tells it."""
    common = {"service": "holdfast-store", "node": node, "status": "unset", "kind": 2}
    root = {"span_id": "a" * 16, "parent_span_id": "", "name": "PutBlob", "start_ns": 0}
    flush = {"span_id": "b" * 16, "parent_span_id": "a" * 16, "name": "flush", "start_ns": 10**6}
    return [
        {**common, **root, "duration_ns": 4 * 10**6, "attributes": {}, "links": [], "events": []},
        {**common, **flush, "duration_ns": 3 * 10**6, "links": [], "events": [],
         "attributes": {names.STAGE: "flush"}},
    ]  # fmt: skip


def end(drill: Drill) -> None:
    Drill.objects.filter(pk=drill.pk).update(verdict="passed", finished_at=timezone.now())


def put(person: User, **stored: object) -> None:
    Person.objects.filter(user=person).update(tour=stored)


@pytest.fixture
def drill(db: None) -> Drill:
    """A stalled disk, named and fixed: detected after 12 s, named after 13 s, fixed after 40 s."""
    params = {"scenario": "fsync-stall-leader", "seed": 7}
    found = journal.create(runs.start("drill", "fleet", params, actor="ada"))
    fault = timezone.now() - timedelta(seconds=60)
    Drill.objects.filter(pk=found.pk).update(
        faulted_at=fault, truth_entity="node-1", truth_kind="fsync_stall"
    )
    incident = Incident.objects.create(
        key="fsync", state="open", severity="page", headline="Writes are slow", scope="fleet",
        drill_run=found.pk, onset_at=fault, opened_at=fault + timedelta(seconds=12),
        named_at=fault + timedelta(seconds=13), fixed_at=fault + timedelta(seconds=40),
    )  # fmt: skip
    diagnosis = Diagnosis.objects.create(
        incident_id=incident.pk, version=1, made_ms=1, is_abstained=False, digest="d"
    )
    Finding.objects.create(
        diagnosis=diagnosis, rank=1, entity="node-1", kind="fsync_stall", score=9.0,
        headline="node-1's disk stalls",
    )  # fmt: skip
    return Drill.objects.get(pk=found.pk)


def test_somebody_new_is_offered_the_tour_on_the_first_page_only(client: Client) -> None:
    assert "Start the tour" in client.get(NOW).content.decode()
    assert 'id="tour"' not in client.get("/runs").content.decode()


def test_not_now_puts_it_away_and_an_address_brings_it_back(client: Client, person: User) -> None:
    client.post("/tour/move", {"want": "hide"})

    assert 'id="tour"' not in client.get(NOW).content.decode()
    assert "/tour?step=5" in client.get("/?tour=5").content.decode()
    assert tour(person).is_hidden, "looking changes nothing"
    assert client.get("/?tour=99").status_code == 200


def test_a_step_is_where_one_left_it_on_every_page(client: Client, person: User) -> None:
    answer = client.post("/tour/move", {"step": "3"})

    assert answer["Location"] == "/?tour=3"
    assert "/tour?step=3" in client.get("/runs").content.decode()
    assert tour(person).step == 3


def test_the_strip_costs_a_page_no_query(client: Client, person: User) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            client.get("/accuracy")
        return len(seen)

    put(person, is_hidden=True)
    without = queries()
    put(person, step=2, trace_id="ab" * 16)

    assert queries() == without


def test_step_1_shows_the_lines_and_then_the_write(
    client: Client, person: User, query: QueryTwin
) -> None:
    client.post("/tour/move", {"step": "1"})
    trace_id = tour(person).trace_id
    waiting = strip(client, 1)
    query.spans[trace_id] = write_spans()

    seen = strip(client, 1)
    assert "4.00" in seen

    assert f"00-{trace_id}-" in waiting and "waiting for your write" in waiting
    assert 'data-hx-trigger="every 1s"' in waiting
    assert f"/traces/{trace_id}" in seen and "Next: step 2" in seen
    assert "every 1s" not in seen, "what is there needs no more looks"


def test_telemetry_that_is_silent_is_named(client: Client, person: User, query: QueryTwin) -> None:
    client.post("/tour/move", {"step": "1"})
    query.down = True

    assert "telemetry doesn't answer" in strip(client, 1)


def test_breaking_starts_the_ordinary_drill_and_holds_it(
    client: Client, person: User, guards_pass: None
) -> None:
    answer = client.post("/tour/act", {"fault": "fsync-stall-leader"})

    run = Run.objects.get()
    assert answer["Location"] == "/?tour=2"
    assert (run.kind, run.params["scenario"], run.actor) == ("drill", "fsync-stall-leader", "ada")
    assert run.params["hold_s"] == 300
    assert tour(person).drill == run.pk
    assert "Drill" in strip(client, 2)


def test_a_surprise_is_told_only_when_it_is_over(
    client: Client, person: User, guards_pass: None
) -> None:
    client.post("/tour/act", {"fault": "surprise"})

    drill = Drill.objects.get()
    assert "a surprise" in strip(client, 2)
    end(drill)
    assert "a surprise" not in strip(client, 2)


def test_what_is_no_fault_is_refused_by_name(client: Client) -> None:
    answer = client.post("/tour/act", {"fault": "failover-leader"})

    assert answer.status_code == 400
    assert "one of fsync-stall-leader, noisy-tenant, surprise" in answer.content.decode()
    assert not Drill.objects.exists()


def test_a_second_fault_while_one_stands_is_refused(client: Client, guards_pass: None) -> None:
    client.post("/tour/act", {"fault": "fsync-stall-leader"})

    assert client.post("/tour/act", {"fault": "noisy-tenant"}).status_code == 409
    assert Drill.objects.count() == 1


def test_what_keeps_a_fault_back_is_told_before_it_is_asked_for(client: Client) -> None:
    page = strip(client, 2)

    assert "not yet" in page and "no answer from node-0" in page
    assert "Surprise me" not in page


def test_a_viewer_may_look_but_not_break(db: None, guards_pass: None) -> None:
    viewer = Client()
    viewer.force_login(make_person("vi", "viewer"))

    page = strip(viewer, 2)

    assert "<button" in page and "Surprise me" not in page and "esponder" in page
    assert viewer.post("/tour/act", {"fault": "surprise"}).status_code == 403


def test_the_stopwatch_and_the_judgement(client: Client, person: User, drill: Drill) -> None:
    put(person, step=2, drill=drill.pk)

    times = re.findall(r">([\d.]+)<span class=\"unit\">", strip(client, 2))
    judged = strip(client, 3)

    assert times == ["12.0", "13.0", "40.0"]
    assert "node-1&#x27;s disk stalls" in judged and "node-1 fsync_stall" in judged
    assert "not right" not in judged and ">right" in re.sub(r"</svg>\s*", ">", judged)


def test_a_wrong_name_is_called_so(client: Client, person: User, drill: Drill) -> None:
    put(person, step=3, drill=drill.pk)
    Drill.objects.filter(pk=drill.pk).update(truth_kind="cpu_hog")

    assert "not right" in strip(client, 3)


def test_step_4_leads_to_the_incident_and_sees_its_runs(
    client: Client, person: User, drill: Drill
) -> None:
    put(person, step=4, drill=drill.pk)
    incident = Incident.objects.get()
    before = strip(client, 4)
    run = runs.start(
        "capture-profile", "node-1", {}, actor="ada", subject=f"incident:{incident.pk}"
    )

    after = strip(client, 4)

    assert f"/incidents/{incident.pk}" in before and before.count("not yet") == 2
    assert f"/runs/{run.pk}" in after and after.count("not yet") == 1


def test_a_fault_that_still_stands_is_offered_its_end(
    client: Client, person: User, drill: Drill
) -> None:
    put(person, step=5, drill=drill.pk)
    standing = strip(client, 5)
    end(drill)

    assert f"/drills/{drill.pk}/stop" in standing and "/stop" not in strip(client, 5)
    assert "/stop" not in strip(client, 2), "step 2 is about the fault"


def test_step_5_shows_the_leader_and_tells_its_end(
    client: Client, person: User, fleet: FleetTwin
) -> None:
    fleet.statuses[0] = make_node(0, term=4, pid=99)
    client.post("/tour/move", {"step": "5"})
    killed = tour(person).killed

    assert (killed.name, killed.pid, killed.term) == ("node-0", 99, 4)
    shown = strip(client, 5)
    # The registry of the twin has 100 under that name: another process, so the shown one is dead.
    assert "back by itself" in shown
    put(person, step=5, killed={**vars_of(killed), "pid": 100})
    assert "kill -9 100" in strip(client, 5)


def vars_of(killed: Any) -> dict[str, object]:
    return {name: getattr(killed, name) for name in ("name", "pid", "term", "shown_ms")}


def test_with_everything_down_each_step_still_says_something(
    client: Client, person: User, everything_down: None
) -> None:
    client.post("/tour/move", {"step": "5"})

    assert "nobody says who leads" in strip(client, 5)
    for step in range(1, 7):
        assert client.get("/tour", {"step": step}).status_code == 200


def test_the_proof_is_the_failover_drill_and_its_verdict(
    client: Client, person: User, guards_pass: None
) -> None:
    put(person, step=6)
    client.post("/tour/act", {"want": "prove"})
    drill = Drill.objects.get()

    assert drill.scenario == "failover-leader"
    assert "measuring" in strip(client, 6)
    end(drill)
    assert "End the tour" in strip(client, 6)
