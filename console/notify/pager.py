"""Who is told of what, from memory: the watcher's voice.

The desk says what happened to an incident; the pager says it to people, over every channel, and
walks the chain while nobody answers. It knows who is on call and who acknowledged from the last
time that the tables could be read. What it did is handed to be written down and never waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from console.incidents.grouping import Decision, Incident, Word
from console.incidents.lifecycle import Severity, State
from console.notify import chain
from console.notify import message as form
from console.notify.chain import Standing
from console.notify.channels import Channel
from console.notify.message import Message, Recipient
from console.notify.sender import Make, Outcome, Report, Sender

NUMBER_WAIT_S = 0.4
"""So long a message waits for its incident's number; without one it says the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who answers for the fleet now, as last read."""

    first: tuple[Recipient, ...] = ()
    second: tuple[Recipient, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of the chain that was taken, to be written down."""

    key: str
    number: int
    people: tuple[str, ...]
    due_ms: int
    taken_ms: int


class Pager:
    """`get` finds an incident as it stands now, by key. Safe to use from any thread."""

    def __init__(
        self,
        channels: Sequence[Channel],
        *,
        public_url: str,
        wait_ms: int,
        get: Callable[[str], Incident | None],
        link_for: Callable[[str, str], str],
        report: Report,
        record_step: Callable[[Step], None],
    ) -> None:
        self._senders = [Sender(channel, report) for channel in channels]
        self._public_url = public_url
        self._wait_ms = wait_ms
        self._get = get
        self._link_for = link_for
        self._report = report
        self._record_step = record_step
        self._people = People()
        self._chains: dict[str, Standing] = {}
        self._told: set[str] = set()  # incidents whose end must be told
        self._lock = threading.Lock()

    def start(self) -> None:
        for sender in self._senders:
            sender.start()

    def stop(self, timeout_s: float) -> None:
        for sender in self._senders:
            sender.stop(timeout_s)

    def note_people(self, people: People) -> None:
        with self._lock:
            self._people = people

    def resume(self, standings: Mapping[str, Standing]) -> None:
        """Chains that an earlier watcher began."""
        with self._lock:
            self._chains = {**standings, **self._chains}
            self._told |= set(standings)

    def tell(self, decision: Decision) -> None:
        """What the desk decided. Returns at once."""
        incident, now_ms = decision.incident, decision.at_ms
        if decision.word is Word.RECOVERED:
            if not incident.is_open:
                self._end(incident, now_ms)
            return
        if incident.severity != Severity.PAGE or incident.is_silenced:
            return
        with self._lock:
            self._told.add(incident.key)
            standing = self._chains.get(incident.key)
            is_news = standing is None or decision.word in (Word.REOPENED, Word.MADE_REAL)
            if is_news and incident.state is State.OPEN:
                standing = chain.begin(now_ms)
                self._chains[incident.key] = standing
            if standing is not None and chain.is_due(standing, now_ms):
                self._step(incident, standing, now_ms)
                return
        self._send(form.TRIGGER, incident, now_ms, step=0, whom=chain.FIRST)

    def changed(self, before: Incident, now: Incident, now_ms: int) -> None:
        """A person did something that memory learned of just now."""
        with self._lock:
            is_told = now.key in self._told
        if is_told and now.state is State.RESOLVED and before.is_open:
            self._end(now, now_ms)
        elif is_told and before.state is State.OPEN and now.is_open and now.state != before.state:
            self._drop(now.key)
            self._send(form.ACKNOWLEDGE, now, now_ms, step=0, whom=chain.FIRST)

    def hurry(self, key: str, now_ms: int) -> None:
        """The next step is due now: a person asked for it, or the auditor missed one."""
        with self._lock:
            standing = self._chains.get(key, chain.take(chain.begin(now_ms), now_ms, wait_ms=0))
            self._chains[key] = replace(standing, due_ms=now_ms)
            self._told.add(key)

    def missed(self, key: str, late_ms: int, now_ms: int) -> None:
        """The auditor found a step of the chain not taken: say so, and take it."""
        incident = self._get(key)
        if incident is not None:
            headline = f"was not passed on: a step is {late_ms // 1000} s late"
            self._send(form.MISSED, incident, now_ms, step=0, whom=chain.SECOND, headline=headline)
        self.hurry(key, now_ms)

    def tick(self, now_ms: int) -> int:
        """Take every step that is due; how many were."""
        taken = 0
        with self._lock:
            for key, standing in list(self._chains.items()):
                if not chain.is_due(standing, now_ms):
                    continue
                incident = self._get(key)
                # An incident that is somebody's keeps its chain only if that was asked for.
                if incident is None or not incident.is_open:
                    del self._chains[key]
                    continue
                self._step(incident, standing, now_ms)
                taken += 1
                if incident.state is not State.OPEN:
                    del self._chains[key]
        return taken

    def _step(self, incident: Incident, standing: Standing, now_ms: int) -> None:
        """With the lock held."""
        number = standing.taken_count
        whom = chain.whom(number)
        self._chains[incident.key] = chain.take(standing, now_ms, wait_ms=self._wait_ms)
        if incident.is_drill:
            # A drill pages once and never walks the chain: nobody is woken twice for practice.
            self._chains.pop(incident.key)
        people = self._called(whom)
        self._send(form.TRIGGER, incident, now_ms, step=number, whom=whom)
        self._record_step(
            Step(
                key=incident.key,
                number=number,
                people=tuple(who.name for who in people),
                due_ms=standing.due_ms,
                taken_ms=now_ms,
            )
        )

    def _end(self, incident: Incident, now_ms: int) -> None:
        self._drop(incident.key)
        with self._lock:
            is_told = incident.key in self._told
            self._told.discard(incident.key)
        if is_told:
            self._send(form.RESOLVE, incident, now_ms, step=0, whom=chain.FIRST)

    def _drop(self, key: str) -> None:
        with self._lock:
            self._chains.pop(key, None)

    def _called(self, whom: str) -> tuple[Recipient, ...]:
        people = self._people
        return (people.second or people.first) if whom == chain.SECOND else people.first

    def _send(
        self,
        word: str,
        incident: Incident,
        now_ms: int,
        *,
        step: int,
        whom: str,
        headline: str = "",
    ) -> None:
        people = self._called(whom)
        make = partial(self._message, word, incident, now_ms, step, people, headline)
        for sender in self._senders:
            if word in sender.channel.words and not sender.put(make):
                self._report(no_room(partial(make, wait_s=0.0), sender.channel.name))

    def _message(
        self,
        word: str,
        known: Incident,
        now_ms: int,
        step: int,
        people: tuple[Recipient, ...],
        headline: str,
        wait_s: float = NUMBER_WAIT_S,
    ) -> Message:
        """Built on the sender's thread, when it is that message's turn."""
        incident = self._named(known, wait_s)
        key = incident.key
        recipients = tuple(
            replace(who, acknowledge_link=self._link_for(key, who.name)) for who in people
        )
        return Message(
            word=word,
            key=f"holdfast-{key}",
            name=incident.name,
            headline=headline or incident.headline,
            at_ms=now_ms,
            link=f"{self._public_url}/incidents/by-key/{key}",
            since_ms=incident.onset_ms,
            severity=incident.severity,
            is_drill=incident.is_drill,
            impact=incident.impact,
            cause=incident.cause,
            owner=incident.owner,
            step=step,
            recipients=recipients if word == form.TRIGGER else (),
        )

    def _named(self, known: Incident, wait_s: float) -> Incident:
        """The incident as it stands now, with its number if that comes soon enough."""
        pause = threading.Event()
        for _ in range(8):
            known = self._get(known.key) or known
            if known.number is not None:
                break
            pause.wait(wait_s / 8)
        return known


def no_room(make: Make, channel: str) -> Outcome:
    return Outcome(
        message=make(),
        channel=channel,
        is_delivered=False,
        attempt_count=0,
        took_ms=0,
        reason="too many messages wait for this channel",
    )
