"""Which incident an alert belongs to, decided from memory alone.

The watcher decides here while the disk under the home may stand still, so nothing in this module
knows of a table: a book holds the incidents of the last minutes, takes in what the alerts say, and
answers with decisions, which are told at once and written down when that is possible. An
incident's identity is therefore its key, made of its rule and onset; its number comes later.

What always holds: an alert that fires is in exactly one incident. One that fires again within
REJOIN_WITHIN_MS rejoins its own. Otherwise alerts of one scope (a fleet, or a foreign sender) whose
onsets lie close together share an incident. A drill's alerts never share one with real ones. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from console.incidents import limits
from console.incidents.lifecycle import Deed, Severity, State, after, is_worse
from telemetry.slo.alerts import Transition

OWN_FLEET = "fleet"
# A key stands in addresses and in the ids of mails.
NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9_-]")


class Word(StrEnum):
    """What a decision says about its incident."""

    OPENED = "opened"
    JOINED = "joined"  # Another alert, no worse.
    WORSENED = "worsened"
    REOPENED = "reopened"
    ALERT_ENDED = "alert ended"  # Others still fire.
    RECOVERED = "recovered"  # The last alert ended.
    MADE_REAL = "made real"  # A drill ended and its trouble stayed.


TELLS = (Word.OPENED, Word.WORSENED, Word.REOPENED, Word.RECOVERED, Word.MADE_REAL)
"""What people and triage hear of; the rest only stands on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilling:
    """A time in which trouble is made on purpose; `until_ms` None while it lasts."""

    run_id: int
    since_ms: int
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An incident as memory holds it. `number` is the row's, None until it is written."""

    key: str
    scope: str
    headline: str
    severity: str
    onset_ms: int
    opened_ms: int
    state: State = State.OPEN
    number: int | None = None
    drill_run: int | None = None
    owner: str = ""
    cause: str = ""
    impact: str = ""
    newest_onset_ms: int = 0
    ended_ms: int | None = None
    alert_count: int = 0
    is_silenced: bool = False
    firing: Mapping[str, str] = field(default_factory=dict)  # alert key -> its severity
    past: frozenset[str] = frozenset()  # alerts that were here and ended

    @property
    def is_drill(self) -> bool:
        return self.drill_run is not None

    @property
    def is_open(self) -> bool:
        return self.state is not State.RESOLVED

    @property
    def name(self) -> str:
        """What people call it: its number, or its key while the number is not known."""
        return f"INC-{self.number}" if self.number is not None else self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one transition does to one incident; `incident` is how it stands after it."""

    word: Word
    incident: Incident
    transition: Transition | None
    at_ms: int
    is_silenced: bool = False


class Book:
    """The incidents of the last minutes, by key."""

    def __init__(self) -> None:
        self._incidents: dict[str, Incident] = {}
        self._of_alert: dict[tuple[str, bool], str] = {}
        self._drills: tuple[Drilling, ...] = ()

    @property
    def incidents(self) -> tuple[Incident, ...]:
        return tuple(self._incidents.values())

    def get(self, key: str) -> Incident | None:
        return self._incidents.get(key)

    def put(self, incident: Incident) -> None:
        """Take over what somebody else knows better: the table, or a person's deed."""
        self._incidents[incident.key] = incident
        for alert in (*incident.firing, *incident.past):
            self._of_alert[alert, incident.is_drill] = incident.key

    def note_drills(self, drills: Iterable[Drilling]) -> None:
        self._drills = tuple(drills)

    def receive(
        self,
        transitions: Sequence[Transition],
        now_ms: int,
        *,
        silenced: frozenset[str] = frozenset(),
    ) -> list[Decision]:
        """What the transitions lead to, in their order. `silenced` are alert keys."""
        self._forget(now_ms)
        found = []
        for transition in transitions:
            if transition.state == "resolved":
                found += self._ends(transition, now_ms)
            else:
                found.append(self._fires(transition, now_ms, transition.key in silenced))
        return found

    def look_after_drills(self, now_ms: int) -> list[Decision]:
        """Make real what a drill left behind."""
        found = []
        for incident in self.incidents:
            if incident.drill_run is None or not incident.is_open or not incident.firing:
                continue
            drill = next((d for d in self._drills if d.run_id == incident.drill_run), None)
            over = drill is None or (
                drill.until_ms is not None and now_ms - drill.until_ms > limits.DRILL_GRACE_MS
            )
            if over and now_ms - incident.opened_ms > limits.DRILL_GRACE_MS:
                real = self._keep(replace(incident, drill_run=None))
                found.append(
                    Decision(word=Word.MADE_REAL, incident=real, transition=None, at_ms=now_ms)
                )
        return found

    def _fires(self, transition: Transition, now_ms: int, is_silenced: bool) -> Decision:
        drill_run = self._drill_of(transition)
        incident = self._own(transition, now_ms, drill_run)
        if incident is None:
            incident = self._near(transition, drill_run)
        if incident is None:
            return self._open(transition, now_ms, drill_run, is_silenced)
        word = Word.JOINED
        state = incident.state
        if not incident.firing and after(state, Deed.REOPEN) is not None:
            state = after(state, Deed.REOPEN) or state
            word = Word.REOPENED
        severity = incident.severity
        if is_worse(transition.severity, severity):
            severity, word = transition.severity, Word.WORSENED
        elif transition.state == "worsened" and transition.severity == Severity.PAGE:
            word = Word.WORSENED
        known = transition.key in incident.firing or transition.key in incident.past
        firing = dict(incident.firing)
        if known or len(firing) < limits.ALERTS_IN_MEMORY_MAX:
            firing[transition.key] = transition.severity
        headline = transition.headline if word is Word.WORSENED else incident.headline
        changed = replace(
            incident,
            state=state,
            severity=severity,
            headline=headline,
            firing=firing,
            past=incident.past - {transition.key},
            ended_ms=None,
            alert_count=incident.alert_count + (0 if known else 1),
            newest_onset_ms=max(incident.newest_onset_ms, transition.started_ms),
            is_silenced=incident.is_silenced and is_silenced,
        )
        self._keep(changed)
        return Decision(
            word=word,
            incident=changed,
            transition=transition,
            at_ms=now_ms,
            is_silenced=is_silenced,
        )

    def _open(
        self, transition: Transition, now_ms: int, drill_run: int | None, is_silenced: bool
    ) -> Decision:
        incident = Incident(
            key=self._new_key(transition),
            scope=scope_of(transition),
            headline=transition.headline[: limits.HEADLINE_CHARS_MAX],
            severity=transition.severity,
            onset_ms=transition.started_ms,
            newest_onset_ms=transition.started_ms,
            opened_ms=now_ms,
            drill_run=drill_run,
            alert_count=1,
            firing={transition.key: transition.severity},
            is_silenced=is_silenced,
        )
        self._keep(incident)
        return Decision(
            word=Word.OPENED,
            incident=incident,
            transition=transition,
            at_ms=now_ms,
            is_silenced=is_silenced,
        )

    def _ends(self, transition: Transition, now_ms: int) -> list[Decision]:
        """An alert may be in a drill's incident and in a real one; it ends in both."""
        found = []
        for is_drill in (False, True):
            key = self._of_alert.get((transition.key, is_drill), "")
            incident = self._incidents.get(key)
            if incident is None or transition.key not in incident.firing:
                continue
            firing = {k: v for k, v in incident.firing.items() if k != transition.key}
            past = incident.past | {transition.key}
            changed = replace(incident, firing=firing, past=past)
            word = Word.ALERT_ENDED
            if not firing:
                word = Word.RECOVERED
                # A drill's incident ends with it, whoever took it for practice.
                deed = Deed.RESOLVE if incident.is_drill else Deed.RECOVER
                state = after(incident.state, deed) or incident.state
                changed = replace(changed, state=state, ended_ms=now_ms)
            self._keep(changed)
            found.append(Decision(word=word, incident=changed, transition=transition, at_ms=now_ms))
        return found

    def _own(self, transition: Transition, now_ms: int, drill_run: int | None) -> Incident | None:
        is_drill = drill_run is not None
        incident = self._incidents.get(self._of_alert.get((transition.key, is_drill), ""))
        # The same alert in two drills is two troubles, however soon one follows the other.
        if incident is None or incident.drill_run != drill_run:
            return None
        ended_ms = incident.ended_ms
        lately = ended_ms is not None and now_ms - ended_ms <= limits.REJOIN_WITHIN_MS
        return incident if incident.firing or lately else None

    def _near(self, transition: Transition, drill_run: int | None) -> Incident | None:
        scope = scope_of(transition)
        for incident in self.incidents:
            if (
                incident.firing
                and incident.is_open
                and incident.drill_run == drill_run
                and incident.scope == scope
                and _onsets_meet(incident, transition.started_ms)
            ):
                return incident
        return None

    def _drill_of(self, transition: Transition) -> int | None:
        if scope_of(transition) != OWN_FLEET:
            return None
        marked = transition.labels.get("drill", "")
        if marked.isdigit():
            return int(marked)
        for drill in self._drills:
            ended = drill.until_ms is not None and transition.started_ms > drill.until_ms
            began_ms = drill.since_ms - limits.DRILL_ONSET_MS
            if transition.started_ms >= began_ms and not ended:
                return drill.run_id
        return None

    def _new_key(self, transition: Transition) -> str:
        """Readable, the same wherever it is computed, and not given out twice."""
        moment = datetime.fromtimestamp(transition.started_ms / 1000, UTC)
        rule = NOT_IN_KEYS.sub("-", transition.rule)[:60]
        key = f"{rule}-{moment:%Y%m%dT%H%M%S}"
        number = 2
        unique = key
        while unique in self._incidents:
            unique = f"{key}-{number}"
            number += 1
        return unique

    def _keep(self, incident: Incident) -> Incident:
        self.put(incident)
        return incident

    def _forget(self, now_ms: int) -> None:
        for key, incident in list(self._incidents.items()):
            ended_ms = incident.ended_ms
            if ended_ms is None or incident.is_open:
                continue
            if now_ms - ended_ms > limits.FORGET_AFTER_MS:
                del self._incidents[key]
                for alert in (*incident.firing, *incident.past):
                    if self._of_alert.get((alert, incident.is_drill)) == key:
                        del self._of_alert[alert, incident.is_drill]


def scope_of(transition: Transition) -> str:
    """Our own alerts carry no source. A foreign sender's strangers stay among themselves."""
    source = transition.labels.get("source", "")
    return f"{source}:{transition.labels.get('fleet', '')}" if source else OWN_FLEET


def _onsets_meet(incident: Incident, started_ms: int) -> bool:
    first, last = incident.onset_ms, incident.newest_onset_ms
    within = first - limits.JOIN_WITHIN_MS <= started_ms <= last + limits.JOIN_WITHIN_MS
    return within and started_ms - first <= limits.JOIN_SPAN_MS
