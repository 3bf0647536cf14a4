"""Which incident an alert belongs to, and the life of an incident, without clock or table."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.incidents import limits
from console.incidents.grouping import Book, Drilling, Word
from console.incidents.lifecycle import NEXT, Deed, State, after
from tests.console.alerting import T0, alert, at


def words(book: Book, *alerts: object, now_s: float = 12) -> list[Word]:
    return [d.word for d in book.receive(list(alerts), at(now_s))]  # type: ignore[arg-type]


def test_two_alerts_of_one_trouble_are_one_incident() -> None:
    book = Book()

    found = words(book, alert("write-latency"), alert("write-availability", onset_s=20))

    assert found == [Word.OPENED, Word.JOINED]
    assert [incident.alert_count for incident in book.incidents] == [2]


def test_alerts_whose_onsets_lie_apart_are_two_incidents() -> None:
    book = Book()

    found = words(book, alert("write-latency"), alert("read-latency", onset_s=61))

    assert found == [Word.OPENED, Word.OPENED]


def test_trouble_that_goes_on_growing_is_split_at_the_span_of_an_incident() -> None:
    book = Book()
    steps = limits.JOIN_SPAN_MS // 50_000 + 2

    for number in range(steps):
        book.receive([alert(f"rule-{number}", onset_s=50 * number)], at(50 * number + 10))

    assert len(book.incidents) == 2


def test_an_alert_that_fires_again_soon_rejoins_its_own_incident() -> None:
    book = Book()
    book.receive([alert()], at(12))
    book.receive([alert(state="resolved")], at(60))

    (decision,) = book.receive([alert(onset_s=300)], at(310))

    assert decision.word is Word.REOPENED
    assert decision.incident.state is State.OPEN
    assert len(book.incidents) == 1


def test_an_alert_that_fires_again_late_is_a_new_incident() -> None:
    book = Book()
    book.receive([alert()], at(12))
    book.receive([alert(state="resolved")], at(60))

    (decision,) = book.receive([alert(onset_s=900)], at(910))

    assert decision.word is Word.OPENED
    assert len({incident.key for incident in book.incidents}) == len(book.incidents)


def test_one_recovery_does_not_end_an_incident_with_two_alerts() -> None:
    book = Book()
    book.receive([alert("write-latency"), alert("read-latency")], at(12))

    assert words(book, alert("write-latency", state="resolved")) == [Word.ALERT_ENDED]
    assert words(book, alert("read-latency", state="resolved")) == [Word.RECOVERED]


def test_an_incident_that_nobody_took_ends_with_its_last_alert() -> None:
    book = Book()
    book.receive([alert()], at(12))

    (decision,) = book.receive([alert(state="resolved")], at(60))

    assert decision.incident.state is State.RESOLVED


@pytest.mark.parametrize(
    ("first", "then", "word"),
    [
        (alert(severity="ticket"), alert(severity="page", state="worsened"), Word.WORSENED),
        (alert(severity="ticket"), alert("other", severity="page"), Word.WORSENED),
        (alert(), alert(state="worsened", value=80), Word.WORSENED),
        (alert(), alert("other", severity="ticket"), Word.JOINED),
    ],
)
def test_an_incident_worsens_when_its_severity_or_its_paging_alert_does(
    first: object, then: object, word: Word
) -> None:
    book = Book()
    words(book, first)

    assert words(book, then) == [word]
    assert book.incidents[0].severity == "page"


def test_a_drills_alerts_are_kept_apart_from_real_ones() -> None:
    book = Book()
    book.receive([alert("telemetry-down")], at(1))
    book.note_drills([Drilling(run_id=88, since_ms=at(10))])

    (decision,) = book.receive([alert("write-latency", onset_s=11)], at(20))

    assert decision.word is Word.OPENED
    assert decision.incident.drill_run == 88


@pytest.mark.parametrize(("onset_s", "drill_run"), [(14, None), (16, 88)])
def test_trouble_that_began_well_before_the_drill_is_not_the_drills(
    onset_s: int, drill_run: int | None
) -> None:
    book = Book()
    book.note_drills([Drilling(run_id=88, since_ms=at(60))])

    (decision,) = book.receive([alert(onset_s=onset_s)], at(70))

    assert decision.incident.drill_run == drill_run


def test_the_same_alert_in_the_next_drill_is_an_incident_of_its_own() -> None:
    book = Book()
    book.note_drills([Drilling(run_id=88, since_ms=at(0), until_ms=at(60))])
    book.receive([alert(onset_s=5)], at(12))
    book.receive([alert(state="resolved", onset_s=5)], at(70))
    book.note_drills([Drilling(run_id=89, since_ms=at(100))])

    (decision,) = book.receive([alert(onset_s=105)], at(112))

    assert decision.word is Word.OPENED
    assert decision.incident.drill_run == 89


def test_what_outlives_its_drill_becomes_real() -> None:
    book = Book()
    book.note_drills([Drilling(run_id=88, since_ms=at(0), until_ms=at(60))])
    book.receive([alert(onset_s=5)], at(12))

    assert book.look_after_drills(at(60) + limits.DRILL_GRACE_MS) == []
    (decision,) = book.look_after_drills(at(61) + limits.DRILL_GRACE_MS)

    assert decision.word is Word.MADE_REAL
    assert not decision.incident.is_drill


def test_foreign_senders_do_not_join_our_incidents_nor_each_others() -> None:
    book = Book()

    found = words(book, alert(), alert("a", source="alertmanager"), alert("b", source="grafana"))

    assert found == [Word.OPENED] * 3


def test_two_incidents_of_one_rule_and_second_have_two_keys() -> None:
    book = Book()

    words(book, alert("cpu", source="alertmanager"), alert("cpu", source="grafana", node="x"))

    assert len({incident.key for incident in book.incidents}) == 2


def test_a_storm_of_alerts_is_one_incident() -> None:
    book = Book()
    storm = [alert(f"rule-{number}", onset_s=number % 50) for number in range(2000)]

    found = words(book, *storm)

    assert found.count(Word.OPENED) == 1
    assert book.incidents[0].alert_count == 2000


def test_an_incident_is_called_by_its_key_until_its_number_is_known() -> None:
    book = Book()
    (decision,) = book.receive([alert()], at(12))

    assert decision.incident.name == "write-latency-20250615T150640"


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["firing", "worsened", "resolved"]),
            st.integers(0, 4000),
        ),
        max_size=40,
    )
)
def test_an_alert_that_fires_is_in_exactly_one_open_incident(
    steps: list[tuple[str, str, int]],
) -> None:
    book = Book()
    firing: set[str] = set()

    for (rule, state, wait_s), now_s in zip(
        steps, itertools.accumulate(s[2] for s in steps), strict=True
    ):
        del wait_s
        book.receive([alert(rule, state=state, onset_s=now_s)], at(now_s))
        (firing.discard if state == "resolved" else firing.add)(rule)
        held = [key for incident in book.incidents if incident.is_open for key in incident.firing]
        assert sorted(held) == sorted(firing)


def test_nothing_is_done_to_an_incident_that_the_table_does_not_name() -> None:
    assert after(State.RESOLVED, Deed.ACKNOWLEDGE) is None
    assert after(State.ACKNOWLEDGED, Deed.ACKNOWLEDGE) is None
    assert len(NEXT) == 10


def test_every_state_but_open_can_be_reached_and_every_one_can_end() -> None:
    assert set(NEXT.values()) == set(State)
    for state in State:
        assert state is State.RESOLVED or after(state, Deed.RESOLVE) is State.RESOLVED


assert T0 == at(0)
