"""What the watcher does for incidents, in two lanes.

`PAGES` lives in memory alone: it walks the chain of those who don't answer, and must do so while
the disk under the home stands still. `INCIDENTS` is the other side: it reads the tables and the
drill's mark and brings to memory what people did, takes in foreign alerts, measures impact, and
audits the chain. When the disk stalls it stands still, and nobody waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from console.changes.observer import observe
from console.incidents import bell, inbound, intake, journal, limits, measuring, memory
from console.incidents.grouping import Drilling
from console.notify import actions as notify
from console.notify import audit, links
from console.notify.message import Recipient
from console.notify.pager import Pager, People, Step
from console.notify.sender import Outcome
from console.oncall.queries import Contact, on_call
from runbooks import clock
from runbooks.drills import mark
from runbooks.watch import Duty

DRILLS_KEPT_MS = 30 * 60_000
SOLVED_AFTER_MS = 30 * 60_000


class Watching:
    """What the duties share. One for a process."""

    def __init__(self) -> None:
        self.pager: Pager | None = None
        self._is_resumed = False
        self._drills: dict[int, Drilling] = {}
        self._again: dict[str, int] = {}
        self._due: dict[str, int] = {}
        self._beginning = threading.Lock()

    def begin(self) -> Pager:
        """Channels, threads and secrets, once, before the first alert needs them."""
        with self._beginning:
            if self.pager is None:
                self.pager = Pager(
                    notify.configured(),
                    public_url=settings.PUBLIC_URL,
                    wait_ms=settings.HOLDFAST.page_wait_s * 1000,
                    get=intake.desk.get,
                    link_for=links.make,
                    report=report,
                    record_step=record_step,
                )
                self.pager.start()
                intake.start(self.pager.tell)
            return self.pager

    def pages(self, now_ms: int) -> str:
        """The lane that touches no file, but for its first time."""
        pager = self.begin()
        intake.desk.receive((), now_ms)
        taken = pager.tick(now_ms)
        return f"{taken} people paged" if taken else ""

    def incidents(self, now_ms: int) -> str:
        """The lane that may stand still."""
        pager = self.begin()
        close_old_connections()
        self._resume(pager, now_ms)
        self._learn(pager, now_ms)
        taken = inbound.take(now_ms)
        if intake.desk.recorder.waiting_count == 0:
            # What waits to be written may be the proof that the auditor looks for.
            self._every("audit", 10, now_ms, partial(audit.look, pager))
        self._every("impact", 5, now_ms, measuring.measure)
        self._every("fixed", 2, now_ms, measuring.see_fixed)
        self._every("changes", 2, now_ms, observe)
        self._every(
            "mitigated",
            60,
            now_ms,
            lambda at: journal.end_mitigated(before_ms=at - SOLVED_AFTER_MS, now_ms=at),
        )
        self._ring_again(now_ms)
        waiting, lost = intake.desk.recorder.waiting_count, intake.desk.recorder.dropped_count
        told = [f"{taken} foreign alerts"] if taken else []
        told += [f"{waiting} records wait"] if waiting else []
        told += [f"{lost} records lost"] if lost else []
        return ", ".join(told)

    def _resume(self, pager: Pager, now_ms: int) -> None:
        if not self._is_resumed:
            intake.desk.resume(memory.left_open(now_ms - limits.FORGET_AFTER_MS))
            pager.resume(memory.standings(wait_ms=settings.HOLDFAST.page_wait_s * 1000))
            inbound.take_again(now_ms)
            self._is_resumed = True

    def _learn(self, pager: Pager, now_ms: int) -> None:
        """What people and drills did since the last round."""
        now = on_call(timezone.now())
        pager.note_people(People(first=recipients(now.primary), second=recipients(now.secondary)))
        intake.desk.note_silences(memory.silences())
        intake.desk.note_drills(self._drills_now(now_ms))
        if intake.desk.recorder.waiting_count == 0:
            keys = [incident.key for incident in intake.desk.incidents]
            for before, after in intake.desk.refresh(memory.known(keys)):
                pager.changed(before, after, now_ms)
        for key in memory.answer_escalations(now_ms):
            pager.hurry(key, now_ms)

    def _drills_now(self, now_ms: int) -> Sequence[Drilling]:
        found = mark.active(settings.HOLDFAST.run, now_ms=now_ms)
        for run_id, drill in list(self._drills.items()):
            over = found is None or found.run_id != run_id
            if over and drill.until_ms is None:
                ended = Drilling(run_id=run_id, since_ms=drill.since_ms, until_ms=now_ms)
                self._drills[run_id] = ended
            elif drill.until_ms is not None and now_ms - drill.until_ms > DRILLS_KEPT_MS:
                del self._drills[run_id]
        if found is not None and found.run_id not in self._drills:
            self._drills[found.run_id] = Drilling(run_id=found.run_id, since_ms=found.since_ms)
        return tuple(self._drills.values())

    def _ring_again(self, now_ms: int) -> None:
        """Triage looks once more when the evidence had time to gather."""
        keys = set()
        for incident in intake.desk.incidents:
            keys.add(incident.key)
            due_ms = self._again.setdefault(
                incident.key, incident.opened_ms + limits.TRIAGE_AGAIN_S * 1000
            )
            if 0 < due_ms <= now_ms and incident.number is not None:
                self._again[incident.key] = 0
                if incident.is_open:
                    bell.ring(incident.number)
        self._again = {key: due for key, due in self._again.items() if key in keys}

    def _every(self, name: str, seconds: float, now_ms: int, work: Callable[[int], object]) -> None:
        if now_ms >= self._due.get(name, 0):
            self._due[name] = now_ms + int(seconds * 1000)
            work(now_ms)


def recipients(people: Sequence[Contact]) -> tuple[Recipient, ...]:
    return tuple(
        Recipient(name=who.username, email=who.email, slack_id=who.slack_id) for who in people
    )


def report(outcome: Outcome) -> None:
    """From a sender's thread: written down later."""
    write = partial(notify.record_outcome, outcome, at_ms=clock.now_ms())
    intake.desk.recorder.put(intake.Line(write=write))


def record_step(step: Step) -> None:
    intake.desk.recorder.put(intake.Line(write=partial(notify.record_step, step)))


watching = Watching()
PAGES = Duty(name="pages", every_s=1.0, work=watching.pages, apart=True)
INCIDENTS = Duty(name="incidents", every_s=1.0, work=watching.incidents, apart=True)
