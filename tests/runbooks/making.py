"""Runs and claims for tests, made through the same doors that people and workers use."""

import itertools

from runbooks import actions, clock, journal, snapshots
from runbooks.engine.executor import Performed
from runbooks.engine.machine import Perform, next_effect
from runbooks.engine.states import AttemptState
from runbooks.journal import Claim
from runbooks.models import Attempt, Run

targets = (f"node-{number}" for number in itertools.count())


def make_run(
    target: str = "",
    params: dict[str, object] | None = None,
    actor: str = "ann",
    key: str | None = None,
    subject: str = "",
) -> Run:
    return actions.start(
        "capture-profile",
        target or next(targets),
        {"seconds": 2} if params is None else params,
        actor=actor,
        key=key,
        subject=subject,
    )


def claim_next(run: Run, worker: str = "host:1", now_ms: int | None = None) -> Claim:
    now_ms = now_ms or clock.now_ms()
    snapshot = snapshots.load(run.pk)
    effect = next_effect(snapshot, now_ms=now_ms)
    assert isinstance(effect, Perform), effect
    claim = journal.claim(snapshot, effect, worker=worker, now_ms=now_ms)
    assert claim is not None
    return claim


def done(payload: bytes = b"", **outcome: object) -> Performed:
    return Performed(state=AttemptState.DONE, outcome=outcome, payload=payload)


def failed(reason: str) -> Performed:
    return Performed(state=AttemptState.FAILED, reason=reason)


def at_expiry(claim: Claim) -> int:
    lease_until = Attempt.objects.get(pk=claim.attempt_id).lease_until
    return clock.to_ms(lease_until)
