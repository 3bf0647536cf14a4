"""What people do to incidents, on the tables, and how the machine's records meet it."""

from __future__ import annotations

import pytest

from console.incidents import actions, journal, queries
from console.incidents.errors import BadField, NoSuchIncident, TooLate
from console.incidents.grouping import Book
from console.incidents.models import Incident
from tests.console.alerting import alert, at

pytestmark = pytest.mark.django_db


def opened(book: Book | None = None, rule: str = "write-latency", *, source: str = "") -> int:
    """An incident as the watcher makes one; its number."""
    decisions = (book or Book()).receive([alert(rule, source=source)], at(12))
    return next(iter(journal.write(decisions).values()))


def texts(incident_id: int) -> list[str]:
    return [line.text for line in queries.timeline(incident_id)]


def test_of_two_who_acknowledge_one_wins_and_the_other_reads_who() -> None:
    number = opened()
    actions.acknowledge(number, actor="ada")

    with pytest.raises(TooLate, match="it is acknowledged by ada"):
        actions.acknowledge(number, actor="bob")

    row = queries.get(number)
    assert (row.owner, row.acknowledged_by) == ("ada", "ada")


def test_the_whole_life_is_on_the_timeline() -> None:
    number = opened()
    actions.acknowledge(number, actor="ada")
    actions.note(number, actor="ada", text="looking at node-1")
    actions.mitigate(number, actor="ada")
    actions.resolve(number, actor="ada")

    assert texts(number) == [
        "resolved it",
        "mitigated it",
        "looking at node-1",
        "acknowledged it",
        "Opened: write-latency is bad",
    ]


def test_writing_a_decision_twice_opens_no_second_incident() -> None:
    decisions = Book().receive([alert()], at(12))

    first, second = journal.write(decisions), journal.write(decisions)

    assert first == second
    assert queries.get(next(iter(first.values()))).alert_count == 1


def test_an_incident_that_ends_untouched_says_that_it_recovered_alone() -> None:
    book = Book()
    number = opened(book)

    journal.write(book.receive([alert(state="resolved")], at(60)))

    row = queries.get(number)
    assert (row.state, row.recovered_alone, row.firing_count) == ("resolved", True, 0)


def test_an_acknowledged_incident_waits_for_its_owner_to_end_it() -> None:
    book = Book()
    number = opened(book)
    actions.acknowledge(number, actor="ada")

    journal.write(book.receive([alert(state="resolved")], at(60)))

    row = queries.get(number)
    assert (row.state, row.recovered_alone) == ("mitigated", False)


def test_an_alert_that_fires_on_a_resolved_incident_opens_it_again() -> None:
    book = Book()
    number = opened(book)
    actions.resolve(number, actor="ada")

    journal.write(book.receive([alert(state="worsened")], at(60)))

    assert queries.get(number).state == "open"


def test_alerts_of_a_merged_incident_go_to_the_one_that_lives_on() -> None:
    book = Book()
    first, second = opened(book), opened(book, "disk", source="grafana")
    actions.merge(second, into_id=first, actor="ada")

    journal.write(book.receive([alert("disk", state="worsened", source="grafana")], at(60)))

    assert queries.get(second).state == "resolved"
    assert [row.rule for row in queries.alerts_of(first)] == ["disk", "write-latency"]
    assert queries.get(first).alert_count == 2


def test_a_cause_is_named_once_for_the_clock_and_again_for_the_reader() -> None:
    number = opened()

    said = [
        actions.named(number, headline=text, entity="node-1", kind="fsync_stall", at_ms=at(when))
        for text, when in [("stalls", 18), ("stalls", 20), ("stalls a lot", 30)]
    ]

    assert said == [True, False, True]
    assert queries.get(number).named_s == 6.0


def test_a_silence_must_end_and_say_why() -> None:
    number = opened()
    silence = {"matchers": {"rule": "write-latency"}, "actor": "ada"}

    for hours, reason, field in [(0, "x", "hours"), (25, "x", "hours"), (1, " ", "reason")]:
        with pytest.raises(BadField) as caught:
            actions.silence(number, hours=hours, reason=reason, **silence)  # type: ignore[arg-type]
        assert caught.value.field == field

    made = actions.silence(number, hours=2, reason="planned", **silence)  # type: ignore[arg-type]
    assert actions.end_silence(made.pk, actor="bob")
    assert not actions.end_silence(made.pk, actor="bob")


def test_what_is_not_there_is_said_to_be_not_there() -> None:
    with pytest.raises(NoSuchIncident, match="there is no incident INC-7"):
        actions.acknowledge(7, actor="ada")


def test_impact_never_goes_back() -> None:
    number = opened()

    for failed in (10, None, 4):
        journal.note_impact(
            number, failed=failed, late=None, tenants=["t"], data_at_risk=False, at_ms=at(20)
        )

    row = queries.get(number)
    assert (row.requests_failed, row.requests_late, row.tenants) == (10, None, ("t",))


def test_a_storm_is_written_in_one_go_and_listed_with_few_queries(
    django_assert_num_queries: pytest.FixtureRequest,
) -> None:
    storm = Book().receive([alert(f"rule-{n}", onset_s=n % 50) for n in range(300)], at(60))

    (number,) = set(journal.write(storm).values())

    assert Incident.objects.count() == 1
    assert len(queries.timeline(number)) == journal.JOINS_TOLD_MAX
    with django_assert_num_queries(2):  # type: ignore[operator]
        rows, total = queries.listed(queries.Filter())
    assert (rows[0].alert_count, total) == (300, 1)
