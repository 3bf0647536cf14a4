"""Messages over every channel to real receivers, the chain, its auditor, and the links."""

from __future__ import annotations

import queue
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.utils import timezone

from console.incidents.grouping import Book, Drilling
from console.incidents.intake import Desk
from console.incidents.recorder import Recorder
from console.notify import chain, channels, links
from console.notify import message as form
from console.notify.channels import Channel, NotTaken
from console.notify.message import Message, Recipient
from console.notify.models import Delivery, SpentLink
from console.notify.pager import Pager, People, Step
from console.notify.sender import Outcome, Sender, attempt
from telemetry.config import Settings
from tests.console.alerting import T0, alert, at
from tests.console.receivers import Receiver, http_receiver, smtp_receiver

WAIT_MS = 300_000
ADA = Recipient(name="ada", email="ada@example.org", slack_id="U1", acknowledge_link="http://a/1")
PAGE = Message(
    word=form.TRIGGER,
    key="holdfast-write-latency-1",
    name="INC-42",
    headline="Writes are slow",
    at_ms=at(12),
    since_ms=T0,
    link="http://here/incidents/by-key/write-latency-1",
    cause="flush stalls on node-1",
    recipients=(ADA,),
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as found:
        yield found


def channel(**environment: str) -> Channel:
    (found,) = channels.from_settings(
        Settings.from_environment(environment), secret="s", source="http://here"
    )
    return found


def send(chosen: Channel, message: Message = PAGE, **changed: Any) -> Outcome:
    return attempt(chosen, message, wait=lambda seconds: False, **changed)


def test_a_webhook_is_a_signed_cloud_event(receiver: Receiver) -> None:
    outcome = send(channel(HOLDFAST_PAGE_WEBHOOK_URL=receiver.url))

    (got,) = receiver.got
    assert outcome.is_delivered and got.path == "/page/secret"
    event = got.json
    assert event["specversion"] == "1.0" and event["type"] == "dev.holdfast.incident.triggered"
    assert event["data"]["likely_cause"] == "flush stalls on node-1"
    assert event["data"]["people"] == [{"name": "ada", "acknowledge_link": "http://a/1"}]
    stamp = int(got.headers["Holdfast-Signature"].split(",")[0].removeprefix("t="))
    assert got.headers["Holdfast-Signature"] == form.signature("s", got.body, at_s=stamp)
    assert form.signature("other", got.body, at_s=stamp) != got.headers["Holdfast-Signature"]


def test_slack_calls_the_person_and_shows_what_strangers_wrote_as_text(receiver: Receiver) -> None:
    wild = replace(PAGE, headline="<!channel> & <http://evil|click>")

    send(channel(HOLDFAST_PAGE_SLACK_URL=receiver.url), wild)

    text = receiver.got[0].json["blocks"][0]["text"]["text"]
    assert "<@U1>" in text and "<!channel>" not in text and "<http://evil" not in text
    assert "Likely cause: flush stalls on node-1" in text


def test_pagerduty_gets_the_same_dedup_key_from_trigger_to_end(receiver: Receiver) -> None:
    pagerduty = channel(HOLDFAST_PAGE_PAGERDUTY_KEY="k", HOLDFAST_PAGE_PAGERDUTY_URL=receiver.url)

    for word in (form.TRIGGER, form.ACKNOWLEDGE, form.RESOLVE):
        send(pagerduty, replace(PAGE, word=word))

    events = [got.json for got in receiver.got]
    assert [event["event_action"] for event in events] == ["trigger", "acknowledge", "resolve"]
    assert {event["dedup_key"] for event in events} == {"holdfast-write-latency-1"}
    assert events[0]["payload"]["severity"] == "critical"


def test_a_drill_wakes_nobody_at_pagerduty(receiver: Receiver) -> None:
    pagerduty = channel(HOLDFAST_PAGE_PAGERDUTY_KEY="k", HOLDFAST_PAGE_PAGERDUTY_URL=receiver.url)

    send(pagerduty, replace(PAGE, is_drill=True))

    payload = receiver.got[0].json["payload"]
    assert payload["severity"] == "info" and payload["summary"].startswith("Drill: ")


def test_mail_goes_to_each_with_their_own_link_and_stays_in_one_thread() -> None:
    with smtp_receiver() as mailbox:
        mail = channel(
            HOLDFAST_PAGE_SMTP_URL=f"smtp://127.0.0.1:{mailbox.port}",
            HOLDFAST_PAGE_SMTP_TO="all@example.org",
        )
        send(mail, replace(PAGE, headline="two\nlines"))
        send(mail, replace(PAGE, word=form.RESOLVE))

    first = {to: letter for to, letter in mailbox.letters[:2]}
    end = mailbox.letters[2][1]
    assert set(first) == {"all@example.org", "ada@example.org"}
    assert "http://a/1" in first["ada@example.org"].get_content()
    assert "http://a/1" not in first["all@example.org"].get_content()
    assert first["ada@example.org"]["Subject"] == "INC-42 two lines"
    assert end["In-Reply-To"] == first["ada@example.org"]["Message-ID"]


def test_mail_that_nobody_would_get_is_a_failure_with_its_remedy() -> None:
    with smtp_receiver() as mailbox:
        mail = channel(HOLDFAST_PAGE_SMTP_URL=f"smtp://127.0.0.1:{mailbox.port}")
        nobody = send(mail, replace(PAGE, recipients=()))
        mailbox.refuses = True
        refused = send(mail)

    assert "HOLDFAST_PAGE_SMTP_TO" in nobody.reason
    assert (refused.reason, refused.attempt_count) == ("refused the address ada@example.org", 1)


def test_a_receiver_that_is_down_is_tried_again_and_one_that_refuses_is_not(
    receiver: Receiver,
) -> None:
    webhook = channel(HOLDFAST_PAGE_WEBHOOK_URL=receiver.url)
    receiver.answers = [503, 500]
    again = send(webhook)
    receiver.answers = [403]
    refused = send(webhook)

    assert (again.is_delivered, again.attempt_count) == (True, 3)
    assert (refused.is_delivered, refused.attempt_count) == (False, 1)
    assert refused.reason == "answered 403 ok"


def test_a_rule_with_any_letters_goes_by_mail() -> None:
    wild = replace(PAGE, key="holdfast-grafana-Düsenzähler\ud83d-1")

    with smtp_receiver() as mailbox:
        outcome = send(channel(HOLDFAST_PAGE_SMTP_URL=f"smtp://127.0.0.1:{mailbox.port}"), wild)

    assert outcome.reason == ""
    ((_, letter),) = mailbox.letters
    assert letter["Message-ID"] == "<holdfast-grafana-D%C3%BCsenz%C3%A4hler%3F-1@localhost>"


def test_a_link_that_acknowledges_stands_in_no_log() -> None:
    assert "http://a/1" not in repr(PAGE) and "ada@example.org" in repr(PAGE)


def test_a_message_that_has_no_form_costs_itself_only(receiver: Receiver) -> None:
    outcomes: queue.Queue[Outcome] = queue.Queue()
    sender = Sender(channel(HOLDFAST_PAGE_WEBHOOK_URL=receiver.url), outcomes.put)
    sender.start()
    sender.put(lambda: replace(PAGE, headline="half a pair: \ud83d"))
    sender.put(lambda: PAGE)
    first, second = (outcomes.get(timeout=10) for _ in range(2))
    sender.stop(10)

    assert first.reason.startswith("can't be sent: UnicodeEncodeError")
    assert (first.attempt_count, second.is_delivered, len(receiver.got)) == (1, True, 1)


def test_tries_end_at_the_deadline_with_waits_that_double_and_jitter() -> None:
    clock, waits = [0.0], []

    def fail(message: Message, timeout_s: float) -> None:
        raise NotTaken("nothing listens there", may_help=True)

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        clock[0] += seconds
        return False

    outcome = attempt(
        Channel(name="x", where="x", send=fail),
        PAGE,
        tell_s=60,
        wait=wait,
        monotonic_s=lambda: clock[0],
        rng=random.Random(1),
    )

    assert not outcome.is_delivered and outcome.reason == "nothing listens there"
    assert 60 <= clock[0] < 85
    assert all(0.5 * 2**n <= w <= 2**n for n, w in enumerate(waits[:4]))


class House:
    """A desk and a pager that send to one receiver, and keep what would be written."""

    def __init__(self, receiver: Receiver) -> None:
        self.steps: list[Step] = []
        self.outcomes: list[Outcome] = []
        self.desk = Desk(recorder=Recorder(lambda records: None))
        self.pager = Pager(
            [channel(HOLDFAST_PAGE_WEBHOOK_URL=receiver.url)],
            public_url="http://here",
            wait_ms=WAIT_MS,
            get=self.desk.get,
            link_for=lambda key, person: f"http://here/{key}/{person}",
            report=self.outcomes.append,
            record_step=self.steps.append,
        )
        self.pager.note_people(
            People(first=(Recipient(name="ada"),), second=(Recipient(name="bob"),))
        )
        self.desk.attach(self.pager.tell)
        self.pager.start()

    def number(self) -> None:
        """As the recorder does: without it every message waits a moment for its number."""
        for number, incident in enumerate(self.desk.incidents, start=1):
            self.desk.note_number(incident.key, number)


@pytest.fixture
def house(receiver: Receiver) -> Iterator[House]:
    found = House(receiver)
    yield found
    found.pager.stop(10)


def told(receiver: Receiver, count: int) -> list[tuple[str, int, list[str]]]:
    got = [each.json for each in receiver.wait_for(count)]
    return [
        (
            event["type"].rpartition(".")[2],
            event["data"]["step"],
            [who["name"] for who in event["data"]["people"]],
        )
        for event in got
    ]


def test_a_page_leaves_with_no_table_to_write_to(house: House, receiver: Receiver) -> None:
    house.desk.receive([alert()], at(12))

    (got,) = receiver.wait_for(1)
    data = got.json["data"]
    assert data["incident"] == "write-latency-20250615T150640"
    assert data["link"] == f"http://here/incidents/by-key/{data['incident']}"


def test_a_storm_of_2000_alerts_is_one_page(house: House, receiver: Receiver) -> None:
    house.desk.receive([alert(f"rule-{n}", onset_s=n % 50) for n in range(2000)], at(60))
    house.desk.receive([alert("rule-1", state="resolved")], at(70))
    for n in range(2000):
        house.desk.receive([alert(f"rule-{n}", state="resolved")], at(80))

    assert [word for word, _, _ in told(receiver, 2)] == ["triggered", "resolved"]


def test_the_chain_goes_on_until_somebody_has_it(house: House, receiver: Receiver) -> None:
    house.desk.receive([alert()], at(0))
    house.number()
    early = house.pager.tick(at(299))
    taken = [house.pager.tick(at(seconds)) for seconds in (300, 600)]
    (before,) = house.desk.incidents
    now = replace(before, state=type(before.state).ACKNOWLEDGED, owner="ada")
    house.pager.changed(before, now, at(610))

    assert (early, taken, house.pager.tick(at(900))) == (0, [1, 1], 0)
    assert told(receiver, 4) == [
        ("triggered", 0, ["ada"]),
        ("triggered", 1, ["bob"]),
        ("triggered", 2, ["ada"]),
        ("acknowledged", 0, []),
    ]
    assert [(step.number, step.people) for step in house.steps] == [
        (0, ("ada",)),
        (1, ("bob",)),
        (2, ("ada",)),
    ]


def test_an_escalation_calls_the_second_person_now(house: House, receiver: Receiver) -> None:
    house.desk.receive([alert()], at(0))
    (incident,) = house.desk.incidents
    house.number()

    house.pager.hurry(incident.key, at(20))
    house.pager.tick(at(21))

    assert told(receiver, 2)[1] == ("triggered", 1, ["bob"])


def test_a_drill_pages_once_and_never_walks_the_chain(house: House, receiver: Receiver) -> None:
    house.desk.note_drills([Drilling(run_id=88, since_ms=at(0))])
    house.desk.receive([alert(onset_s=1)], at(2))
    house.number()

    assert house.pager.tick(at(100_000)) == 0
    assert receiver.wait_for(1)[0].json["data"]["drill"] is True


def test_a_ticket_pages_nobody_and_its_worsening_does(house: House, receiver: Receiver) -> None:
    house.desk.receive([alert(severity="ticket")], at(0))
    house.desk.receive([alert(severity="page", state="worsened", headline="bad")], at(5))

    (got,) = receiver.wait_for(1)
    assert got.json["data"]["headline"] == "bad"


def test_the_auditor_sees_a_step_that_is_late_and_none_that_is_not() -> None:
    def overdue(taken: int, last: int | None, now: int) -> int:
        return chain.overdue_ms(
            opened_ms=0, taken_count=taken, last_taken_ms=last, now_ms=now, wait_ms=WAIT_MS
        )

    assert overdue(0, None, chain.AUDIT_GRACE_MS) == 0
    assert overdue(0, None, chain.AUDIT_GRACE_MS + 1) == 1
    assert overdue(1, 1000, WAIT_MS + 1000 + chain.AUDIT_GRACE_MS) == 0
    assert overdue(1, 1000, WAIT_MS + 1001 + chain.AUDIT_GRACE_MS) == 1
    assert overdue(chain.STEPS_MAX, 1000, 10**9) == 0


def test_a_missed_step_is_itself_paged(house: House, receiver: Receiver) -> None:
    house.desk.receive([alert()], at(0))
    house.number()
    (incident,) = house.desk.incidents

    house.pager.missed(incident.key, 25_000, at(330))
    house.pager.tick(at(331))

    assert [word for word, _, _ in told(receiver, 3)] == ["triggered", "step-missed", "triggered"]
    assert "25 s late" in receiver.got[1].json["data"]["headline"]


@pytest.mark.django_db
def test_a_link_is_for_one_person_one_incident_and_one_use() -> None:
    token = links.make("write-latency-1", "ada").rpartition("/")[2]
    link = links.read(token)
    links.spend(link)

    with pytest.raises(links.LinkRefused, match="used before"):
        links.read(token)
    with pytest.raises(links.LinkRefused, match="used before"):
        links.spend(link)
    with pytest.raises(links.LinkRefused, match="not ours"):
        links.read(token[:-1] + ("a" if token[-1] != "a" else "b"))
    assert (link.key, link.person) == ("write-latency-1", "ada")
    assert SpentLink.objects.count() == 1


@pytest.mark.django_db
def test_a_link_is_old_after_half_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    token = links.make("k", "ada").rpartition("/")[2]
    later = signing.time.time() + links.LIFETIME.total_seconds() + 1  # type: ignore[attr-defined]
    monkeypatch.setattr("django.core.signing.time.time", lambda: later)

    with pytest.raises(links.LinkRefused, match="30 minutes old"):
        links.read(token)
    assert links.LIFETIME == timedelta(minutes=30)


def test_a_book_starts_empty() -> None:
    assert Book().incidents == ()


@pytest.mark.django_db
def test_whether_paging_works_is_found_without_reading_all_that_was_ever_sent() -> None:
    plan = Delivery.objects.filter(at__gte=timezone.now()).order_by("-at")[:20].explain()

    assert "USING INDEX delivery_newest" in plan
