"""Performs one claimed attempt: the checks around an action, its fence, and what follows a loss.

A built-in kind's step is its action and nothing else. A runbook's step is, in this order: the call
worked out (or taken as it was approved), the before-check, the action, what the output must be, and
for a change the waiting until the world shows it. All of that is one attempt and ends in one
`Performed`. In a dry run the order stops before the action of a change and tells what it would
have sent.

What always holds: a change is sent only after its before-check said yes in this very attempt; an
attempt whose outcome is in doubt is fenced off at its nodes before anybody looks whether it
happened, so that the answer can't be made wrong by a late arrival.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace

from django.conf import settings

from runbooks import clock, facts, journal, limits
from runbooks.engine import executor, expression
from runbooks.engine.executor import AttemptTaken, Performed, StepContext
from runbooks.engine.expression import BadExpression, CannotTell
from runbooks.engine.plan import JsonObject, StepKind
from runbooks.engine.states import AttemptState, Mode, Purpose
from runbooks.facts import Surroundings
from runbooks.journal import Claim
from runbooks.kinds import ACTIONS
from runbooks.models import Run, Step
from runbooks.steps.registry import StepAction
from runbooks.steps.table import STEP_ACTIONS
from storage_core.client import FleetClient
from storage_core.errors import StoreError

VERIFY_EVERY_S = 0.2


def perform(run: Run, steps: list[Step], claim: Claim, keep_lease: Callable[[], None]) -> Performed:
    """Do what was claimed, once. Raises AttemptTaken and WorkerStopping only."""
    step = next((s for s in steps if s.pk == claim.step_id), None)
    assert step is not None, "a claimed step belongs to its run"
    context = _context(run, steps, step, claim, keep_lease)
    if not step.spec.get("action"):
        built_in = ACTIONS.get((run.kind, claim.step_name))
        return executor.perform(built_in, context) if built_in else _unknown_here(run.kind)
    action = STEP_ACTIONS.get(str(step.spec["action"]))
    if action is None:
        return _unknown_here(str(step.spec["action"]))
    attempt = _Planned(run, steps, step, claim, action)
    try:
        if claim.purpose is Purpose.CHECK:
            return attempt.find_out(context)
        return attempt.act(context)
    except BadExpression as error:
        return Performed(state=AttemptState.REFUSED, reason=str(error))


def known_facts(run: Run, steps: list[Step]) -> Mapping[str, object]:
    """What the expressions of this run may know beside the fleet."""
    known: dict[str, object] = {**run.params, "target": run.target, "run_id": run.pk}
    return known | {s.name: s.outcome for s in steps if s.outcome and not s.is_undo}


def is_after_change(steps: list[Step], step: Step) -> bool:
    """Whether a step before this one changes something."""
    changes = (StepKind.IDEMPOTENT.value, StepKind.GUARDED.value)
    return any(s.kind in changes for s in steps if s.position < step.position and not s.is_undo)


def _context(
    run: Run, steps: list[Step], step: Step, claim: Claim, keep_lease: Callable[[], None]
) -> StepContext:
    earlier = steps[: step.position]
    packed = bytes(earlier[-1].payload) if earlier else b""
    return StepContext(
        run_id=run.pk,
        run_key=run.key,
        step_name=claim.step_name,
        attempt_number=claim.attempt_number,
        target=run.target,
        params=run.params,
        outcomes={s.name: s.outcome for s in earlier},
        payload=zlib.decompress(packed) if packed else b"",
        time_left_s=max(0.0, (claim.deadline_ms - clock.now_ms()) / 1000),
        keep_lease=keep_lease,
        subject=run.subject,
        asked=run.params,
    )


class _Planned:
    """One attempt at a runbook's step."""

    def __init__(
        self, run: Run, steps: list[Step], step: Step, claim: Claim, action: StepAction
    ) -> None:
        self._run = run
        self._step = step
        self._claim = claim
        self._action = action
        self._known = dict(known_facts(run, steps))
        self._guesses = is_after_change(steps, step)
        self._verify = str(step.spec.get("verify", ""))

    def act(self, context: StepContext) -> Performed:
        """Check, do, and see that it was done."""
        around = self._look()
        try:
            context = _with_call(context, self._step.approved_call or called(self._step, around))
        except CannotTell as error:
            return Performed(state=AttemptState.HELD, reason=f"nothing was sent: {error}")
        said_no = said_no_to(self._step.spec.get("precheck"), around)
        is_read = self._action.kind is StepKind.READ
        if self._run.mode == Mode.DRY.value and (self._guesses or not is_read):
            return _would_do(self._step, self._action, context, said_no, guesses=self._guesses)
        if said_no:
            return Performed(state=AttemptState.HELD, reason=f"nothing was sent: {said_no}")
        sent: JsonObject = {"call": context.params, "fence": context.fence}
        if not is_read and not journal.note_sent(self._claim, sent):
            raise AttemptTaken
        ended = executor.perform(self._action.perform, context)
        if ended.state is not AttemptState.DONE:
            return ended
        unmet = said_no_to(self._step.spec.get("expect"), self._look(ended.outcome))
        if unmet:
            return replace(ended, state=AttemptState.FAILED, reason=f"not as expected: {unmet}")
        return ended if is_read or not self._verify else self._until_seen(context, ended)

    def find_out(self, context: StepContext) -> Performed:
        """Whether a lost attempt happened: fence it off, ask its nodes, then look at the world."""
        sent = journal.sent_by(self._step.pk)
        if not sent:
            return Performed(state=AttemptState.HELD, reason="it was lost before it sent anything")
        context = _with_call(context, sent)
        name = self._step.name
        try:
            was_done = self._fence_off(context)
        except (StoreError, ValueError) as error:  # Silent, or the call named no node.
            return _not_yet(
                context, f"{name} may have happened; its fence can't be raised: {error}"
            )
        if was_done:
            return _happened("its node says that it was done")
        unseen = said_no_to(self._verify, self._look())
        if not unseen:
            return _happened(f"it holds that {self._verify}")
        if unseen.startswith(_NOT_KNOWN):
            return _not_yet(context, f"{name} may have happened: {unseen}")
        reason = f"it did not happen, and now can't any more: {unseen}"
        return Performed(state=AttemptState.HELD, reason=reason)

    def _until_seen(self, context: StepContext, ended: Performed) -> Performed:
        """Wait until the world shows the change, as long as the attempt lasts."""
        deadline = time.monotonic() + context.time_left_s - VERIFY_EVERY_S
        while unseen := said_no_to(self._verify, self._look(ended.outcome)):
            context.keep_lease()
            if time.monotonic() >= deadline:
                # A guarded one may still arrive: that is settled at its nodes.
                is_guarded = self._action.kind is StepKind.GUARDED
                state = AttemptState.LOST if is_guarded else AttemptState.FAILED
                return replace(ended, state=state, reason=f"sent, but not seen: {unseen}")
            time.sleep(VERIFY_EVERY_S)
        return ended

    def _fence_off(self, context: StepContext) -> bool:
        """No attempt up to this one is obeyed any more. True if a node says that one was done."""
        client = FleetClient(settings.HOLDFAST)
        answers = [
            client.raise_fence(
                facts.number_of(node), context.run_id, context.step_name, context.attempt_number + 1
            )
            for node in self._action.nodes_of(context.params, context.fence)
        ]
        return any(answers)

    def _look(self, outcome: Mapping[str, object] | None = None) -> Surroundings:
        """All that is known, with the fleet seen afresh; this step's own outcome hides nothing."""
        return Surroundings(
            {**(outcome or {}), **self._known}, lambda: facts.look(self._run.target)
        )


def called(step: Step, around: Mapping[str, object]) -> JsonObject:
    """What this step would send now: its call and its fence. Raises CannotTell, BadExpression."""
    return {
        "call": expression.render(step.spec.get("call", {}), around),
        "fence": expression.render(step.spec.get("fence", {}), around),
    }


def _unknown_here(what: str) -> Performed:
    reason = f"this release does not know {what}; nothing was done"
    return Performed(state=AttemptState.REFUSED, reason=reason)


def _with_call(context: StepContext, sent: Mapping[str, object]) -> StepContext:
    call, fence = sent["call"], sent["fence"]
    assert isinstance(call, dict) and isinstance(fence, dict), "objects in, objects out"
    return replace(context, params=call, fence=fence)


def _happened(how: str) -> Performed:
    return Performed(state=AttemptState.DONE, outcome={"found_out": how})


def _not_yet(context: StepContext, reason: str) -> Performed:
    """This look could not tell; the next one comes after a moment."""
    time.sleep(min(limits.HELD_WAIT_S, context.time_left_s))
    return Performed(state=AttemptState.FAILED, reason=reason)


def _would_do(
    step: Step, action: StepAction, context: StepContext, said_no: str, *, guesses: bool
) -> Performed:
    """What a dry run tells of a step that it doesn't do."""
    outcome: JsonObject = {"guesses": guesses}
    if action.kind is StepKind.READ:
        outcome["not_run"] = "it would look at the state that the steps before it leave"
    else:
        outcome |= {"would_send": {"action": action.name, "call": context.params}}
        if context.fence:
            outcome["only_if"] = context.fence
        if step.spec.get("precheck"):
            outcome["precheck"] = said_no or "holds now"
    return Performed(state=AttemptState.DONE, outcome=outcome)


_NOT_KNOWN = "not known: "


def said_no_to(condition: object, around: Mapping[str, object]) -> str:
    """Empty if the condition holds or there is none; else the sentence that says why not."""
    text = str(condition or "")
    if not text:
        return ""
    try:
        return "" if expression.is_true(text, around) else f"{text} does not hold"
    except CannotTell as error:
        return f"{_NOT_KNOWN}{error}"
