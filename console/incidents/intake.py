"""Where alerts arrive: decided from memory, told at once, written down when the disk lets us.

The watcher calls `receive` with what changed among the alerts. Nothing on that way opens a file,
asks a database or logs: the disk that the console stands on may be the one that stalls, and then a
page must leave all the same. What memory knows of people's deeds (who acknowledged, what is
silenced, whether a drill runs) is brought by `refresh`, on another thread, and is as old as the
last time the disk answered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.db import transaction

from console.incidents import bell, journal
from console.incidents.grouping import TELLS, Book, Decision, Drilling, Incident, Word
from console.incidents.lifecycle import State
from console.incidents.recorder import Recorder
from telemetry.slo.alerts import Transition

Tell = Callable[[Decision], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """A silence as memory holds it."""

    matchers: Mapping[str, str]
    until_ms: int

    def covers(self, transition: Transition, now_ms: int) -> bool:
        labels = {**transition.labels, "rule": transition.rule, "severity": transition.severity}
        return now_ms < self.until_ms and all(
            labels.get(name) == value for name, value in self.matchers.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the table says of an incident that memory holds, too."""

    key: str
    number: int
    state: State
    severity: str
    owner: str
    cause: str
    impact: str
    merged_into: str = ""


class Desk:
    """The one place of a process where alerts become incidents. Safe to use from any thread."""

    def __init__(self, *, recorder: Recorder, tell: Tell | None = None) -> None:
        self.recorder = recorder
        self._tell = tell
        self._early: list[Decision] = []  # decided before there was anybody to tell
        self._book = Book()
        self._quiet: tuple[Quiet, ...] = ()
        self._lock = threading.Lock()

    def receive(self, transitions: Sequence[Transition], now_ms: int) -> list[Decision]:
        with self._lock:
            silenced = frozenset(
                transition.key
                for transition in transitions
                if any(quiet.covers(transition, now_ms) for quiet in self._quiet)
            )
            decisions = self._book.receive(transitions, now_ms, silenced=silenced)
            decisions += self._book.look_after_drills(now_ms)
        self._settle(decisions)
        return decisions

    def attach(self, tell: Tell) -> None:
        """From now on `tell` is told; and now, what was decided before."""
        with self._lock:
            self._tell = tell
            early, self._early = self._early, []
        for decision in early:
            tell(decision)

    def _settle(self, decisions: Sequence[Decision]) -> None:
        # Neither waits. The record is first in line, so that what is told has a row to stand on.
        for decision in decisions:
            self.recorder.put(decision)
        news = [d for d in decisions if d.word in TELLS and not d.is_silenced]
        with self._lock:
            tell = self._tell
            if tell is None:
                self._early += news
        if tell is not None:
            for decision in news:
                tell(decision)

    @property
    def incidents(self) -> tuple[Incident, ...]:
        with self._lock:
            return self._book.incidents

    def get(self, key: str) -> Incident | None:
        with self._lock:
            return self._book.get(key)

    def note_number(self, key: str, number: int) -> None:
        with self._lock:
            incident = self._book.get(key)
            if incident is not None and incident.number is None:
                self._book.put(replace(incident, number=number))

    def note_drills(self, drills: Sequence[Drilling]) -> None:
        with self._lock:
            self._book.note_drills(drills)

    def note_silences(self, quiet: Sequence[Quiet]) -> None:
        with self._lock:
            self._quiet = tuple(quiet)

    def resume(self, incidents: Sequence[Incident]) -> None:
        """What an earlier watcher left open. What memory holds already stays."""
        with self._lock:
            for incident in incidents:
                if self._book.get(incident.key) is None:
                    self._book.put(incident)

    def refresh(self, rows: Sequence[Known]) -> list[tuple[Incident, Incident]]:
        """Take over people's deeds: (before, now) of what changed. Call only while no record waits,
        else memory would be put back to what the table doesn't know yet."""
        changed = []
        with self._lock:
            for row in rows:
                before = self._book.get(row.key)
                if before is None:
                    continue
                now = replace(
                    before,
                    number=row.number,
                    state=row.state,
                    severity=row.severity,
                    owner=row.owner,
                    cause=row.cause,
                    impact=row.impact,
                )
                now = self._merged(row, now)
                if now != before:
                    self._book.put(now)
                    changed.append((before, now))
        return changed

    def _merged(self, row: Known, incident: Incident) -> Incident:
        into = self._book.get(row.merged_into) if row.merged_into else None
        if into is None or not incident.firing:
            return incident
        self._book.put(replace(into, firing={**into.firing, **incident.firing}))
        return replace(incident, firing={}, past=frozenset())


def write(records: Sequence[object]) -> None:
    """The recorder's hand: decisions first, then lines that stand on them, all or nothing."""
    decisions = [record for record in records if isinstance(record, Decision)]
    with transaction.atomic():
        numbers = journal.write(decisions)
        for record in records:
            if isinstance(record, Line):
                record.write()
    for key, number in numbers.items():
        desk.note_number(key, number)
    for incident_id in {
        numbers[d.incident.key] for d in decisions if d.word in TELLS and d.word != Word.RECOVERED
    }:
        bell.ring(incident_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A record that knows how to write itself."""

    write: Callable[[], None]


desk = Desk(recorder=Recorder(write))
_starting = threading.Lock()
_is_started = False


def start(tell: Tell) -> None:
    """Start the recorder, and tell people through `tell`. Twice is once."""
    global _is_started
    with _starting:
        if not _is_started:
            desk.recorder.start()
            desk.attach(tell)
            _is_started = True


def receive(transitions: Sequence[Transition], now_ms: int) -> None:
    """The alert sink of the watcher (setting ALERT_SINKS)."""
    desk.receive(transitions, now_ms)
