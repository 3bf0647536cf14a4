"""Going through the tour: each change is one write to the person's own row."""

from __future__ import annotations

import random
import secrets
from dataclasses import replace

from django.contrib.auth.models import User

from console.accounts.models import Person
from console.audit.actions import record
from console.tour.steps import (
    BREAK,
    FAULTS,
    FIRST,
    LAST,
    PROOF,
    SURPRISES,
    Killed,
    Tour,
    decode,
    encode,
)
from runbooks.drills import actions as drills
from runbooks.errors import BadParameter

SURPRISE = "surprise"
HOLD_S = 300.0
"""Long enough to read, judge and approve; the drill ends it if nobody does."""


def tour_of(user: User) -> Tour | None:
    """Where the person is; None for somebody whom the console knows nothing of."""
    person: Person | None = getattr(user, "person", None)
    return None if person is None else decode(person.tour)


def go(user: User, tour: Tour, step: int) -> Tour:
    """Open a step. The first visit of step 1 gets the trace that the upload will carry."""
    assert FIRST <= step <= LAST, step
    trace_id = tour.trace_id or secrets.token_hex(16)
    return _save(user, replace(tour, step=step, is_hidden=False, trace_id=trace_id))


def hide(user: User, tour: Tour) -> Tour:
    """Put the strip away; the step stays, for who comes back."""
    return _save(user, replace(tour, is_hidden=True))


def break_it(user: User, tour: Tour, choice: str) -> Tour:
    """Start the drill of step 2. Raises BadParameter, GuardsFailed and what starting a run does."""
    is_surprise = choice == SURPRISE
    if not is_surprise and choice not in FAULTS:
        raise BadParameter("fault", choice, f"one of {', '.join((*FAULTS, SURPRISE))}")
    scenario = random.choice(SURPRISES) if is_surprise else choice
    drill = _start(user, scenario, hold_s=HOLD_S)
    return _save(user, replace(tour, step=BREAK, drill=drill, is_surprise=is_surprise))


def show_victim(user: User, tour: Tour, killed: Killed) -> Tour:
    """Remember which process step 5 asked for."""
    return _save(user, replace(tour, killed=killed))


def prove(user: User, tour: Tour) -> Tour:
    """Start the failover drill of step 6. Raises as `break_it`."""
    return _save(user, replace(tour, step=LAST, proof=_start(user, PROOF)))


def _start(user: User, scenario: str, *, hold_s: float | None = None) -> int:
    name = user.get_username()
    record(actor=name, action="start drill", target=scenario, detail={"tour": True})
    return int(drills.start(scenario, actor=name, hold_s=hold_s).pk)


def _save(user: User, tour: Tour) -> Tour:
    Person.objects.filter(user_id=user.pk).update(tour=encode(tour))
    return tour
