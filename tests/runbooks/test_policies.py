"""The closed loop: what starts by itself, when, how often, and how it is held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from runbooks import actions, clock, policies
from runbooks.clock import to_ms
from runbooks.errors import WrongPolicy
from runbooks.models import PolicyStart, Run
from runbooks.policies import HOLD_S, Finding

pytestmark = pytest.mark.django_db

HUNG = Finding(
    subject="incident:7", entity="node-1", kind="process_pause", score=0.9, is_leader=False
)
_found: list[Finding] = []


def found(_now_ms: int) -> Sequence[Finding]:
    return tuple(_found)


@pytest.fixture(autouse=True)
def loop(settings: Any) -> None:
    """A policy that answers a hung node, and one finding of such."""
    settings.POLICY_FINDINGS = f"{__name__}.found"
    policies.allow("process_pause", "hung-node", actor="ada")
    _found[:] = [HUNG]


def planned() -> PolicyStart:
    policies.look_after(clock.now_ms())
    return PolicyStart.objects.get()


def due_ms(start: PolicyStart) -> int:
    return to_ms(start.due_at)


def test_a_finding_starts_its_runbook_after_the_hold_and_once() -> None:
    begun_ms = clock.now_ms()
    start = planned()

    early = policies.look_after(due_ms(start) - 1)
    told = [policies.look_after(due_ms(start) + later) for later in (0, 1000)]

    run = Run.objects.get()
    assert due_ms(start) - begun_ms >= HOLD_S * 1000
    assert (early, told) == ("", ["1 runs started by policy", ""])
    assert (run.kind, run.target, run.subject) == ("hung-node", "node-1", "incident:7")
    assert (run.actor, run.policy) == ("policy process_pause", "process_pause")
    assert PolicyStart.objects.get().run_id == run.pk


@pytest.mark.parametrize("changed", [{"score": 0.5}, {"kind": "fsync_stall"}, {"kind": "isolated"}])
def test_what_is_weak_or_has_no_policy_starts_nothing(changed: dict[str, object]) -> None:
    fields = {name: getattr(HUNG, name) for name in Finding.__dataclass_fields__}
    _found[:] = [Finding(**{**fields, **changed})]

    policies.look_after(clock.now_ms())

    assert not PolicyStart.objects.exists()


def test_what_was_held_never_starts_though_the_watcher_had_seen_it_due() -> None:
    start = planned()
    policies.hold(start.pk, actor="bob")

    began = policies._start(start, due_ms(start))  # As it was read before bob held it.

    assert not began and not Run.objects.exists()
    assert PolicyStart.objects.get().reason == "held by bob"
    with pytest.raises(WrongPolicy, match="held by bob"):
        policies.hold(start.pk, actor="ann")


def test_what_began_can_not_be_held_any_more() -> None:
    start = planned()
    policies.look_after(due_ms(start))

    with pytest.raises(WrongPolicy):
        policies.hold(start.pk, actor="bob")
    assert PolicyStart.objects.get().held_by == ""


def test_a_policy_that_was_forbidden_meanwhile_starts_nothing() -> None:
    start = planned()
    policies.forbid("process_pause", actor="ada")

    assert policies.look_after(due_ms(start)) == ""
    assert not Run.objects.exists()
    assert "the policy was switched off" in PolicyStart.objects.get().reason


def test_a_run_in_the_way_is_named_and_nothing_is_tried_again() -> None:
    other = actions.start_runbook("hung-node", {"target": "node-1"}, actor="ann")
    start = planned()

    told = [policies.look_after(due_ms(start) + later) for later in (0, 1000)]

    assert told == ["", ""] and Run.objects.count() == 1
    assert f"run {other.pk}" in PolicyStart.objects.get().reason
