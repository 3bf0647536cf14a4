"""The pages of incidents and paging, as people see them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings as console
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from console.changes.actions import record_change
from console.incidents import actions, journal, queries
from console.incidents.grouping import Book, Drilling
from console.incidents.presence import presence
from console.live.views import shown_on
from console.notify import links
from console.notify.models import Delivery
from runbooks import clock
from runbooks.actions import start_runbook
from runbooks.models import Run
from telemetry.slo.alerts import Transition
from tests.console.alerting import alert, at
from tests.console.conftest import make_person
from tests.console.receivers import http_receiver
from tests.console.twins import EVERYTHING, FleetTwin, picture_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nobody_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Incidents of several tests have the same numbers, and the process remembers its readers."""
    monkeypatch.setattr(presence, "_seen", {})


def recent(*alerts: Transition) -> list[Transition]:
    """The same alerts, begun half a minute ago."""
    now = clock.now_ms()
    return [replace(each, started_ms=now - 30_000, at_ms=now - 20_000) for each in alerts]


def opened(book: Book | None = None, *alerts: Transition) -> int:
    decisions = (book or Book()).receive(
        recent(*(alerts or (alert(headline="Writes are slow"),))), clock.now_ms() - 18_000
    )
    return next(iter(journal.write(decisions).values()))


def text_of(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, (path, answer.status_code)
    return answer.content.decode()


def as_viewer() -> Client:
    make_person("vera", "viewer")
    client = Client()
    client.force_login(make_person("vic", "viewer"))
    return client


def test_an_open_incident_is_the_sentence_of_now_and_its_first_row(client: Client) -> None:
    number = opened()
    actions.named(
        number, headline="Flush stalls on node-1", entity="node-1", kind="fsync_stall", at_ms=at(0)
    )

    page = text_of(client, "/")

    assert "<h1" in page and "Writes are slow since" in page
    assert "likely Flush stalls on node-1" in page
    assert f"INC-{number} Writes are slow" in page and 'data-row-key="a"' in page
    assert 'class="rail-count">1<' in page


def test_now_says_honestly_that_no_channel_is_set(client: Client) -> None:
    page = text_of(client, "/")

    assert "Paging: no channel set, nobody would be told" in page
    assert "On call: ada" in page


def test_a_viewer_sees_the_incident_without_its_buttons() -> None:
    page = text_of(as_viewer(), f"/incidents/{opened()}")

    assert "may-not" in page and "Responder role needed" in page
    assert 'data-draft="' not in page


def test_the_incident_page_shows_what_a_responder_asks(client: Client) -> None:
    number = opened()
    record_change("files", "runbook", "runbooks/a.yaml was edited", actor="bob")

    page = text_of(client, f"/incidents/{number}")

    for told in ("Detected", "12.0\u202fs", "Named", "Fixed", "Likely cause", "Next step"):
        assert told in page, told
    assert "runbooks/a.yaml was edited" in page
    assert "not measured yet" in page and "0 of 4 sources heard from" in page
    assert "Opened: Writes are slow" in page
    assert 'data-key="a"' in page and 'data-key="e"' in page and 'data-key="n"' in page


def test_pressing_the_buttons_moves_the_incident_and_writes_the_audit(client: Client) -> None:
    number = opened()

    for deed, form in [
        ("acknowledge", {}),
        ("note", {"text": "looking"}),
        ("assign", {"role": "lead", "person": "bob"}),
        ("severity", {"severity": "ticket"}),
        ("escalate", {}),
        ("mitigate", {}),
        ("resolve", {}),
    ]:
        answer = client.post(f"/incidents/{number}/do/{deed}", form)
        assert answer["Location"] == f"/incidents/{number}", deed

    row = queries.get(number)
    assert (row.state, row.owner, row.lead, row.severity) == ("resolved", "ada", "bob", "ticket")
    assert "resolve incident" in text_of(client, "/settings/audit")


def test_who_comes_second_reads_who_was_first(client: Client) -> None:
    number = opened()
    actions.acknowledge(number, actor="bob")

    answer = client.post(f"/incidents/{number}/do/acknowledge")

    assert answer.status_code == 409
    assert "it is acknowledged by bob" in answer.content.decode()


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"matchers": "x", "hours": "1", "reason": "r"}, "Matchers: label=value"),
        ({"matchers": "rule='a", "hours": "1", "reason": "r"}, "Matchers: label=value"),
        ({"matchers": "rule=a", "hours": "25", "reason": "r"}, "at most 24"),
        ({"matchers": "rule=a", "hours": "nan", "reason": "r"}, "Hours: more than 0"),
        ({"matchers": "rule=a", "hours": "1", "reason": "\u202ecod"}, "Reason: text without"),
        ({"matchers": "rule=a", "hours": "soon", "reason": "r"}, "Hours: a number"),
        ({"matchers": "rule=a", "hours": "1", "reason": ""}, "Reason: 1 to 200"),
    ],
)
def test_a_silence_that_is_not_right_is_refused_by_its_field(
    client: Client, form: dict[str, str], told: str
) -> None:
    answer = client.post(f"/incidents/{opened()}/silence", form)

    assert answer.status_code == 400
    assert told in answer.content.decode()


def test_a_silence_is_shown_with_its_end_and_can_be_ended(client: Client) -> None:
    number = opened()
    client.post(
        f"/incidents/{number}/silence",
        {"matchers": "rule=write-latency", "hours": "2", "reason": "planned work"},
    )

    assert "planned work" in text_of(client, "/paging")
    assert "1 silence" in text_of(client, "/")
    client.post(f"/silences/{queries.silences(clock.from_ms(clock.now_ms()))[0].id}/end")
    assert "planned work" not in text_of(client, "/paging")


def test_the_silence_that_is_filled_in_holds_for_a_name_with_blanks(client: Client) -> None:
    number = opened(None, alert("grafana:Disk of 'db' full:c1", node="rack 4"))
    page = text_of(client, f"/incidents/{number}")
    (filled,) = re.findall(r'name="matchers" value="([^"]*)"', page)

    form = {"matchers": html.unescape(filled), "hours": "1", "reason": "known"}
    assert client.post(f"/incidents/{number}/silence", form).status_code == 302

    (quiet,) = queries.silences(clock.from_ms(clock.now_ms()))
    assert quiet.matchers == {"rule": "grafana:Disk of 'db' full:c1", "node": "rack 4"}


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "1.5", "", "\u0663"])
def test_a_number_that_is_none_is_refused_by_its_field(client: Client, number: str) -> None:
    merged = client.post(f"/incidents/{opened()}/do/merge", {"into": number})
    listed = client.get("/incidents", {"page": number})

    assert (merged.status_code, listed.status_code) == (400, 400)
    assert "Into: the number" in merged.content.decode()


def test_others_who_look_are_named(client: Client) -> None:
    number = opened()
    bob = Client()
    bob.force_login(make_person("bob", "viewer"))
    assert bob.post(f"/incidents/{number}/here").status_code == 204

    assert "bob is here" in text_of(client, f"/incidents/{number}")


def test_a_link_acknowledges_once_and_opening_it_does_nothing(client: Client) -> None:
    number = opened()
    path = links.make(queries.get(number).key, "ada").removeprefix(console.PUBLIC_URL)
    stranger = Client()

    page = text_of(stranger, path)
    assert "Acknowledge as ada" in page
    assert queries.get(number).state == "open"

    done = stranger.post(path)
    assert "is yours, ada" in done.content.decode()
    # Nobody else hears the link; a browser told to be silent to us as well sends Origin: null,
    # and its form is refused as coming from another page.
    assert done["Referrer-Policy"] == "same-origin"
    assert queries.get(number).acknowledged_by == "ada"
    again = stranger.post(path)
    assert again.status_code == 410 and "used before" in again.content.decode()


def test_a_link_to_what_is_not_written_yet_is_not_spent(client: Client) -> None:
    path = links.make("not-yet", "ada").removeprefix(console.PUBLIC_URL)

    for _ in range(2):
        answer = Client().post(path)
        assert answer.status_code == 503 and "not written down yet" in answer.content.decode()


def test_the_link_of_a_page_finds_the_incident_by_its_key(client: Client) -> None:
    number = opened()
    key = queries.get(number).key

    assert client.get(f"/incidents/by-key/{key}")["Location"] == f"/incidents/{number}"
    assert "told from memory" in text_of(client, "/incidents/by-key/other", 404)


def test_the_postmortem_and_the_hand_over_are_markdown_from_what_happened(client: Client) -> None:
    number = opened(None, alert(headline="Writes | are _slow_"))
    actions.acknowledge(number, actor="ada")

    report = text_of(client, f"/incidents/{number}/postmortem.md")
    shift = text_of(client, "/hand-over?as=markdown")

    assert report.startswith(f"# INC-{number}: Writes \\| are \\_slow\\_")
    assert "| ada | acknowledged it |" in report and "No change reported." in report
    assert f"[INC-{number}]" in shift and "owner ada" in shift


def test_a_hand_over_of_many_takes_as_many_queries_as_one_of_one(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(12):
        actions.resolve(opened(None, alert(f"rule-{number}")), actor="ada")

    with django_assert_max_num_queries(20):
        assert text_of(client, "/hand-over?as=markdown").count("[INC-") == 12


def test_a_drills_incident_says_so_in_words(client: Client) -> None:
    book = Book()
    book.note_drills([Drilling(run_id=88, since_ms=clock.now_ms() - 60_000)])
    number = opened(book)

    assert "drill, open" in text_of(client, "/incidents")
    assert "made on purpose" in text_of(client, f"/incidents/{number}")
    assert "Healthy: serving" in text_of(client, "/")


def test_the_list_is_filtered_paged_and_refuses_what_it_does_not_know(client: Client) -> None:
    for number in range(60):
        opened(None, alert(f"rule-{number}", headline=f"Trouble {number}."))

    assert "page 1 of 2" in text_of(client, "/incidents")
    assert "Trouble 7." in text_of(client, "/incidents?text=trouble+7.")
    assert "No incident is like that" in text_of(client, "/incidents?state=resolved")
    assert "State: one of" in text_of(client, "/incidents?state=bad", 400)
    assert "Page: a number" in text_of(client, "/incidents?page=0", 400)


@pytest.mark.parametrize(("path", "queries_max"), [("/incidents", 6), ("/incidents/{}", 20)])
def test_pages_need_as_many_queries_after_a_storm_as_before(
    client: Client, django_assert_max_num_queries: Any, path: str, queries_max: int
) -> None:
    number = opened(None, *(alert(f"rule-{n}") for n in range(300)))
    for n in range(60):
        opened(None, alert(f"other-{n}"))

    with django_assert_max_num_queries(queries_max):
        page = text_of(client, path.format(number))

    assert len(page) < 400_000


def test_every_page_of_incidents_renders_with_everything_down(
    client: Client, everything_down: None
) -> None:
    number = opened()

    for path in ("/incidents", f"/incidents/{number}", "/paging", "/hand-over"):
        assert "blind" in text_of(client, path) or path in ("/hand-over", "/paging")


def test_the_stream_renders_the_incident_and_survives_one_that_is_not_there() -> None:
    number = opened()
    picture = picture_of(FleetTwin(down=set(EVERYTHING)))

    for incident in (number, number + 1000):
        found = shown_on(f"incident-{incident}")
        assert found is not None
        assert found[1](picture)["badge"].state == "unknown"
    assert shown_on("incident-x") is None


@pytest.fixture
def webhook_set(settings: Any) -> Iterator[Any]:
    with http_receiver() as receiver:
        settings.HOLDFAST = replace(settings.HOLDFAST, page_webhook_url=receiver.url)
        yield receiver


def test_the_test_page_goes_out_and_now_says_that_paging_works(
    client: Client, webhook_set: Any
) -> None:
    assert "Paging: webhook not tested for a week" in text_of(client, "/")

    client.post("/paging/test")

    assert webhook_set.got[0].json["type"] == "dev.holdfast.incident.tested"
    assert Delivery.objects.get().is_delivered
    assert "Paging: works, tested 0 s ago" in text_of(client, "/")


def test_a_test_that_fails_is_said_with_its_reason(client: Client, webhook_set: Any) -> None:
    webhook_set.answers = [404]

    client.post("/paging/test")

    assert "Paging: webhook failed 0 s ago: answered 404 ok" in text_of(client, "/paging")


def test_the_strips_are_told_the_onset_and_the_runs(client: Client) -> None:
    number = opened()
    run = start_runbook(
        "leader-fsync-stall", {"target": "node-1"}, actor="ada", subject=f"incident:{number}"
    )
    begun, ended = (clock.from_ms(at(seconds)) for seconds in (5, 9))
    Run.objects.filter(pk=run.pk).update(state="done", started_at=begun, finished_at=ended)

    page = text_of(client, f"/incidents/{number}")

    onset_ms = clock.to_ms(queries.get(number).onset_at)
    told = f"{onset_ms},,firing-fill,onset;{at(5)},{at(9)},accent,run {run.pk}"
    assert f'data-marks="{told}"' in page
    assert 'data-lines="flush_p99_ms:node-0,node-0,node-0;' in page
