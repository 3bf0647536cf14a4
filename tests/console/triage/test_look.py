"""One look at an incident, the watcher's rings, and the marks that drills get afterwards."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from console.incidents.models import Incident, TimelineRow
from console.triage import actions, judge, limits, look
from console.triage.models import Diagnosis, JudgedDrill, Look
from console.triage.tasks import TRIAGE_INCIDENT, triage_incident
from runbooks import clock
from runbooks.drills.models import Drill, DrillVerdict
from runbooks.models import Run
from telemetry.config import Settings
from tests.console.triage.conftest import NOW_MS, make_claim

pytestmark = pytest.mark.django_db

Keep = Callable[..., Diagnosis | None]


@pytest.fixture
def nobody_answers(settings: Any) -> Iterator[Settings]:
    """Ports that are taken by listeners which never answer a connection's request: closed."""
    with ExitStack() as stack:
        ports = []
        for _ in range(3):
            taken = stack.enter_context(socket.socket())
            taken.bind(("127.0.0.1", 0))  # Bound and not listening: refused at once.
            ports.append(taken.getsockname()[1])
        given: Settings = settings.HOLDFAST
        changed = given.with_ports(otlp_port=ports[0], query_port=ports[1])
        settings.HOLDFAST = changed
        yield changed


def make_incident(opened_ms: int = NOW_MS, **changed: object) -> Incident:
    fields: dict[str, object] = {
        "key": f"k{Incident.objects.count()}",
        "state": "open",
        "severity": "page",
        "headline": "Writes are slow",
        "onset_at": clock.from_ms(opened_ms - 10_000),
        "opened_at": clock.from_ms(opened_ms),
    }
    return Incident.objects.create(**(fields | changed))


def test_with_everything_down_the_answer_names_each_blind_source(nobody_answers: Settings) -> None:
    incident = make_incident(clock.now_ms())

    triage_incident(incident.pk)

    (diagnosis,) = Diagnosis.objects.all()
    blind = {each["source"] for each in diagnosis.missing}
    assert {"telemetry", "supervisor", "node-0", "node-1", "node-2"} <= blind
    assert diagnosis.is_abstained
    assert Incident.objects.get().cause_kind == ""


def test_a_second_look_that_says_the_same_writes_nothing(nobody_answers: Settings) -> None:
    incident = make_incident(clock.now_ms())

    first = look.at_incident(incident.pk, now_ms=clock.now_ms())
    second = look.at_incident(incident.pk, now_ms=clock.now_ms())

    assert first is not None and second is None
    assert Look.objects.get().count == 2


def test_an_answer_stands_once_the_incident_is_over(keep: Keep, nobody_answers: Settings) -> None:
    """The next trouble comes while looks at the last one are still due."""
    over = make_incident(clock.now_ms(), recovered_at=clock.from_ms(clock.now_ms()))
    keep(over.pk, make_claim(entity="node-2", kind="bad_config"))

    assert look.at_incident(over.pk, now_ms=clock.now_ms()) is None

    (diagnosis,) = Diagnosis.objects.all()
    assert diagnosis.findings.get(rank=1).kind == "bad_config"
    assert Look.objects.get(incident_id=over.pk).due_ms is None


def test_somebody_elses_incident_is_not_explained_by_our_fleet(nobody_answers: Settings) -> None:
    foreign = make_incident(clock.now_ms(), scope="alertmanager")

    look.begin_unseen(clock.now_ms())

    assert look.at_incident(foreign.pk, now_ms=clock.now_ms()) is None
    assert not Diagnosis.objects.exists()
    assert not Look.objects.exists()


def test_an_incident_that_is_not_there_is_no_error() -> None:
    triage_incident(4711)

    assert not Diagnosis.objects.exists()


def test_the_task_has_the_name_that_incidents_ring() -> None:
    assert triage_incident.name == TRIAGE_INCIDENT == "console.triage.tasks.triage_incident"


def test_a_named_cause_reaches_the_incident_and_its_timeline() -> None:
    incident = make_incident()

    look.tell(incident.pk, make_claim(), made_ms=NOW_MS)

    incident.refresh_from_db()
    assert (incident.cause_entity, incident.cause_kind) == ("node-1", "fsync_stall")
    assert TimelineRow.objects.filter(incident=incident, kind="finding").count() == 1


def test_the_watcher_looks_at_an_incident_whose_bell_was_lost() -> None:
    incident = make_incident()

    look.begin_unseen(NOW_MS)
    at_once = look.ring_due(NOW_MS)
    later = look.ring_due(NOW_MS + limits.FIRST_RING_WITHIN_S * 1000)

    assert (at_once, later) == (0, 1)
    assert Look.objects.get().incident_id == incident.pk


def test_an_old_incident_is_not_looked_at_for_the_first_time() -> None:
    make_incident(NOW_MS - 2 * limits.UNSEEN_FOR_S_MAX * 1000)

    look.begin_unseen(NOW_MS)

    assert not Look.objects.exists()


def test_two_watchers_ring_a_due_look_once() -> None:
    actions.open_look(1, since_ms=NOW_MS, due_ms=NOW_MS)

    assert (look.ring_due(NOW_MS), look.ring_due(NOW_MS)) == (1, 0)


def make_drill(entity: str = "node-1", kind: str = "fsync_stall") -> Drill:
    fault = clock.from_ms(NOW_MS)
    run = Run.objects.create(
        kind="drill",
        target="fleet",
        state="done",
        finished_at=fault,
        created_at=fault,
        deadline=fault,
        ring_at=fault,
    )
    return Drill.objects.create(
        run=run,
        scenario="fsync-stall-leader",
        seed=1,
        actor="ada",
        created_at=fault,
        verdict=DrillVerdict.PASSED.value,
        faulted_at=fault,
        healed_at=fault + timedelta(seconds=20),
        finished_at=fault + timedelta(seconds=30),
        truth_entity=entity,
        truth_kind=kind,
    )


JUDGED_MS = NOW_MS + 20_000 + judge.SETTLED_AFTER_S * 1000


def test_a_drill_that_was_named_rightly_is_a_hit_with_its_times(keep: Keep) -> None:
    drill = make_drill()
    incident = make_incident(NOW_MS + 11_000, fixed_at=clock.from_ms(NOW_MS + 25_000))
    keep(incident.pk, make_claim())

    count = judge.judge_due(JUDGED_MS)

    drill.refresh_from_db()
    row = JudgedDrill.objects.get()
    assert count == 1
    assert (row.verdict, row.detected_ms) == ("right", NOW_MS + 11_000)
    assert row.mitigated_ms == NOW_MS + 25_000
    assert row.baselines == {"loudest metric": False}
    assert (drill.was_judged, drill.triage) == (True, "hit")


def test_the_first_named_cause_counts_not_a_later_correction(keep: Keep) -> None:
    make_drill()
    incident = make_incident(NOW_MS + 11_000)
    keep(incident.pk, make_claim("node-2", "isolated"))
    keep(incident.pk, make_claim())

    judge.judge_due(JUDGED_MS)

    assert JudgedDrill.objects.get().verdict == "miss"


def test_an_incident_without_a_named_cause_is_an_abstention(keep: Keep) -> None:
    make_drill()
    keep(make_incident(NOW_MS + 11_000).pk)

    judge.judge_due(JUDGED_MS)

    assert JudgedDrill.objects.get().verdict == "abstained"


def test_a_drill_that_moved_no_objective_is_not_judged() -> None:
    drill = make_drill()
    make_incident(NOW_MS - 60_000)

    judge.judge_due(JUDGED_MS)

    drill.refresh_from_db()
    assert JudgedDrill.objects.get().verdict == "not_judged"
    assert (drill.was_judged, drill.triage) == (False, "")


def test_the_incident_of_the_next_drill_is_no_answer_to_this_one(keep: Keep) -> None:
    drill = make_drill()
    next_one = make_incident(NOW_MS + 40_000, drill_run=drill.pk + 1)
    keep(next_one.pk, make_claim("node-2", "isolated"))

    judge.judge_due(JUDGED_MS)

    assert JudgedDrill.objects.get().verdict == "not_judged"


def test_a_drills_own_incident_is_its_answer_also_beside_a_real_one(keep: Keep) -> None:
    drill = make_drill()
    keep(make_incident(NOW_MS + 5_000).pk, make_claim("node-2", "isolated"))
    keep(make_incident(NOW_MS + 11_000, drill_run=drill.pk).pk, make_claim())

    judge.judge_due(JUDGED_MS)

    assert JudgedDrill.objects.get().verdict == "right"


def test_a_drill_is_judged_once_and_not_before_it_settled(keep: Keep) -> None:
    make_drill()

    early = judge.judge_due(NOW_MS + 21_000)
    due = judge.judge_due(JUDGED_MS)
    again = judge.judge_due(JUDGED_MS + 60_000)

    assert (early, due, again) == (0, 1, 0)
