"""Writing down what was sent, and the test page."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.utils import timezone

from console.incidents import journal
from console.incidents.models import Incident
from console.notify import message as form
from console.notify.channels import Channel, from_settings
from console.notify.message import Message
from console.notify.models import REASON_CHARS_MAX, ChainStep, Delivery
from console.notify.pager import Step
from console.notify.sender import Outcome, attempt
from console.secret_files import read_or_make
from runbooks import clock

TEST_S = 15.0
PREFIX = "holdfast-"
SAID = {
    form.TRIGGER: "Paged",
    form.ACKNOWLEDGE: "Told that it is taken",
    form.RESOLVE: "Told that it is over",
    form.MISSED: "Told of a missed step",
}


def configured() -> tuple[Channel, ...]:
    """The channels of this console's settings; reads the signing secret from its file."""
    secret = read_or_make(settings.HOLDFAST.secrets / "webhook.key")
    return from_settings(settings.HOLDFAST, secret=secret, source=settings.PUBLIC_URL)


def record_outcome(outcome: Outcome, *, at_ms: int) -> None:
    """One row, and a line on the incident's timeline."""
    message = outcome.message
    key = message.key.removeprefix(PREFIX)
    Delivery.objects.create(
        incident=Incident.objects.filter(key=key).first(),
        key=key[:150],
        word=message.word,
        channel=outcome.channel,
        is_delivered=outcome.is_delivered,
        reason=outcome.reason[:REASON_CHARS_MAX],
        attempt_count=outcome.attempt_count,
        took_ms=outcome.took_ms,
        at=clock.from_ms(at_ms),
    )
    if message.word in SAID:
        who = ", ".join(each.name for each in message.recipients)
        end = "" if outcome.is_delivered else f", not delivered: {outcome.reason}"
        told = f"{SAID[message.word]} by {outcome.channel}{f' ({who})' if who else ''}{end}"
        journal.note_page(key, told, at_ms=at_ms)


def record_step(step: Step) -> None:
    """Nothing if the step was written before, or the incident isn't."""
    row = Incident.objects.filter(key=step.key).first()
    if row is not None:
        ChainStep.objects.get_or_create(
            incident=row,
            number=step.number,
            defaults={
                "person": ", ".join(step.people)[:150],
                "due_at": clock.from_ms(step.due_ms),
                "taken_at": clock.from_ms(step.taken_ms),
            },
        )


def test(*, actor: str, channels: Sequence[Channel] | None = None) -> tuple[Outcome, ...]:
    """Send a test page over every channel now, all at once; each outcome is recorded."""
    chosen = configured() if channels is None else tuple(channels)
    now_ms = clock.now_ms()
    message = Message(
        word=form.TEST,
        key=f"{PREFIX}test-{now_ms}",
        name="Paging",
        headline="works: this is a test, nothing is wrong",
        at_ms=now_ms,
        link=settings.PUBLIC_URL,
        owner=actor,
    )
    if not chosen:
        return ()
    with ThreadPoolExecutor(len(chosen)) as pool:
        tries = [pool.submit(attempt, each, message, tell_s=TEST_S) for each in chosen]
        outcomes = tuple(each.result() for each in tries)
    for outcome in outcomes:
        record_outcome(outcome, at_ms=clock.to_ms(timezone.now()))
    return outcomes
