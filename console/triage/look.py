"""One look at an incident: gather, diagnose, keep what is new, tell the incident, set the next.

The look is the same whoever asks for it, a bell, the watcher or a person; the book of looks says
when the next is due, so that an answer ripens for some minutes after the page went out and a bell
that got lost is rung again.
"""

from __future__ import annotations

import logging
import time

from console.changes.queries import between
from console.incidents import bell
from console.incidents import queries as incidents
from console.incidents.actions import named
from console.incidents.errors import NoSuchIncident
from console.incidents.grouping import OWN_FLEET
from console.triage import actions, gather, limits
from console.triage.diagnose import diagnose
from console.triage.evidence import ChangeSeen, Evidence
from console.triage.findings import Claim, Findings
from console.triage.models import Diagnosis, Look
from runbooks import clock

logger = logging.getLogger(__name__)


def at_incident(incident_id: int, *, now_ms: int) -> Diagnosis | None:
    """Look once. Returns the new version; None if the answer that stands still holds, or if there
    is no such incident.
    """
    try:
        incident = incidents.get(incident_id)
    except NoSuchIncident:
        logger.warning("triage was rung for an incident that is not there: %d", incident_id)
        return None
    if incident.scope != OWN_FLEET:
        return None  # What our nodes do is no answer to what somebody else's alert says.
    onset_ms = clock.to_ms(incident.onset_at)
    look = actions.open_look(incident_id, since_ms=onset_ms, due_ms=now_ms)
    is_over = not incident.is_open or incident.recovered_at is not None
    if is_over and Diagnosis.objects.filter(incident_id=incident_id).exists():
        # What is odd by now is another story, and the answer that people read stands.
        actions.close_look(look, now_ms=now_ms, is_over=True)
        return None
    started_s = time.process_time()
    _, findings = at_fleet(now_ms=now_ms, burn_ms=onset_ms)
    cpu_ms = 1000 * (time.process_time() - started_s)
    made_ms = clock.now_ms()
    kept = actions.keep(incident_id, findings, made_ms=made_ms, cpu_ms=cpu_ms)
    if kept is not None and findings.claims:
        tell(incident_id, findings.claims[0], made_ms=made_ms)
    actions.close_look(look, now_ms=now_ms, is_over=is_over)
    return kept


def tell(incident_id: int, first: Claim, *, made_ms: int) -> None:
    """Give the incident its cause; the incident's own book says when, and what it was before."""
    named(incident_id, headline=first.headline, entity=first.entity, kind=first.kind, at_ms=made_ms)


def at_fleet(*, now_ms: int, burn_ms: int | None) -> tuple[Evidence, Findings]:
    """Look at the fleet as it is, for no incident: nothing is written."""
    evidence = gather.gather(now_ms=now_ms, burn_ms=burn_ms, changes=seen)
    return evidence, diagnose(evidence)


def seen(since_ms: int, until_ms: int) -> list[ChangeSeen]:
    """What was changed between two moments, as evidence."""
    return [
        ChangeSeen(
            at_ms=row.at_ms,
            source=row.source,
            kind=row.kind,
            title=row.title,
            entity=row.entity,
        )
        for row in between(since_ms, until_ms)
    ]


def begin_unseen(now_ms: int) -> None:
    """Begin the book of every incident that opened lately and has none: its own bell may be lost.

    Nothing is rung here; the look falls due some seconds later, unless it was done by then.
    """
    recent, _ = incidents.open_incidents(limits.RINGS_A_ROUND_MAX, scope=OWN_FLEET)
    known = set(
        Look.objects.filter(incident_id__in=[each.id for each in recent]).values_list(
            "incident_id", flat=True
        )
    )
    for incident in recent:
        age_s = (now_ms - clock.to_ms(incident.opened_at)) / 1000
        if incident.id not in known and age_s < limits.UNSEEN_FOR_S_MAX:
            actions.open_look(
                incident.id,
                since_ms=clock.to_ms(incident.onset_at),
                due_ms=now_ms + limits.FIRST_RING_WITHIN_S * 1000,
            )


def ring_due(now_ms: int) -> int:
    """Ring for every look that is due; how many."""
    due = Look.objects.filter(due_ms__lte=now_ms).order_by("due_ms")[: limits.RINGS_A_ROUND_MAX]
    rung = 0
    for look in due:
        if actions.note_rung(look, due_ms=now_ms + limits.RING_AGAIN_AFTER_S * 1000):
            bell.ring(look.incident_id)
            rung += 1
    return rung
