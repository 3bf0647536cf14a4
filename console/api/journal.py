"""Doing once what a program asks twice.

A key is claimed by one INSERT before the deed, and the answer is kept after it. Who comes second
gets the first answer, or is told that it isn't there yet. A refusal is not kept: nothing was done,
so asking again is safe and may go better. A claim that a dying process left behind is taken over
after a minute; the deed then gets the same `Call.key` again, by which it must know itself.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from console.api.limits import CLAIM_S, REPLAY_HOURS, RETRY_AFTER_S
from console.api.models import FirstAnswer
from console.api.problems import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that may come again: who, under which key, and what."""

    caller: str
    key: str
    request_hash: str


def request_hash(method: str, address: str, body: bytes) -> str:
    said = hashlib.sha256(f"{method} {address}\n".encode())
    said.update(body)
    return said.hexdigest()


def claim(asked: Asked, *, now: datetime) -> FirstAnswer | None:
    """None if the deed is now ours to do, else the first answer. Raises Refusal."""
    FirstAnswer.objects.filter(claimed_at__lt=now - timedelta(hours=REPLAY_HOURS)).delete()
    try:
        with transaction.atomic():
            FirstAnswer.objects.create(
                caller=asked.caller,
                key=asked.key,
                request_hash=asked.request_hash,
                claimed_at=now,
            )
            return None
    except IntegrityError:
        first = FirstAnswer.objects.filter(caller=asked.caller, key=asked.key).first()
    if first is None:  # Released in between: it was a refusal.
        raise _under_way()
    if first.request_hash != asked.request_hash:
        raise Refusal(
            422,
            "This Idempotency-Key came before with another request",
            field="Idempotency-Key",
            expected="a new key for a new request",
        )
    if first.status is not None:
        return first
    stale = FirstAnswer.objects.filter(
        pk=first.pk, status=None, claimed_at=first.claimed_at
    ).filter(claimed_at__lte=now - timedelta(seconds=CLAIM_S))
    if stale.update(claimed_at=now) == 1:
        return None
    raise _under_way()


def keep(asked: Asked, *, status: int, headers: dict[str, str], body: str) -> None:
    """The deed is done: this is the answer from now on."""
    FirstAnswer.objects.filter(caller=asked.caller, key=asked.key, status=None).update(
        status=status, headers=headers, body=body
    )


def release(asked: Asked) -> None:
    """Nothing was done: the key is free again."""
    FirstAnswer.objects.filter(caller=asked.caller, key=asked.key, status=None).delete()


def _under_way() -> Refusal:
    return Refusal(
        409,
        "A request with this Idempotency-Key is under way",
        field="Idempotency-Key",
        expected="the answer to the first request",
        retry_after_s=RETRY_AFTER_S,
    )
