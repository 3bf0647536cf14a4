"""What a run is made of: steps in order, frozen into the run when it starts.

A step's kind says what a crash in the middle of it means, and that is all the engine knows:
a *read* may be done again freely; an *idempotent* change may be sent again with the same key; a
*guarded* change must never be repeated blindly, so a lost attempt is first fenced off and then
checked, and only if the check can't tell does a person settle it; an *approval* waits for a person.

Kinds of run that are built in are values of `RunKind` (the table is `runbooks.kinds`). A runbook
is a kind that somebody wrote down in a file: its steps are `PlannedStep` values too, and the one
engine does both. Where a step goes when it fails is data: `on_failure` is ABORT, CONTINUE or the
name of a later step, and a step with `is_fallback` is reached in no other way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

JsonObject = dict[str, object]

ABORT = "abort"
CONTINUE = "continue"


class StepKind(StrEnum):
    READ = "read"
    IDEMPOTENT = "idempotent"
    GUARDED = "guarded"
    APPROVAL = "approval"


class Policy(StrEnum):
    """Who may approve: somebody else, the requester alone with a reason, or nobody need to."""

    SECOND_PERSON = "second_person"
    ALONE_WITH_REASON = "alone_with_reason"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRule:
    """`role` is the least that an approver must hold; after `expires_s` the run ends."""

    policy: Policy
    role: str
    expires_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step before it runs. `attempts` counts automatic ones; a person may allow more later.

    What a runbook adds to a built-in step: `action` names a registered action and `call` holds its
    parameters, which may contain `{{ expressions }}`; `precheck`, `expect` and `verify` are
    expressions ("" where there is none); `fence` holds the fence's fields; `undo` is the step that
    takes this one back. Times in seconds: `timeout_s` bounds one attempt, `within_s` all of them
    (0: no bound of its own).
    """

    name: str
    kind: StepKind
    attempts: int
    timeout_s: int
    title: str = ""
    within_s: int = 0
    action: str = ""
    call: JsonObject = field(default_factory=dict)
    precheck: str = ""
    expect: str = ""
    verify: str = ""
    fence: JsonObject = field(default_factory=dict)
    undo: PlannedStep | None = None
    on_failure: str = ABORT
    is_fallback: bool = False
    approval: ApprovalRule | None = None


def no_lock(_target: str, _params: JsonObject) -> str:
    """The run may go on beside any other."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunKind:
    """A kind of run. `check` returns the full parameters or raises `errors.BadParameter`.

    `lock` names what nobody else may act on meanwhile ("" for nothing). With `undoes_failures` a
    failed run takes back what it did, as a cancelled one always does. `told_by` is the parameter
    that tells runs of this kind apart in a list, "" for none.
    """

    name: str
    title: str
    queue: str
    deadline_s: int
    check: Callable[[str, Mapping[str, object]], JsonObject]
    steps: Callable[[JsonObject], tuple[PlannedStep, ...]]
    lock: Callable[[str, JsonObject], str] = no_lock
    undoes_failures: bool = False
    told_by: str = ""


def to_json(step: PlannedStep) -> JsonObject:
    """What a runbook adds to the step, for the step's row."""
    spec: JsonObject = {
        "title": step.title,
        "action": step.action,
        "call": step.call,
        "precheck": step.precheck,
        "expect": step.expect,
        "verify": step.verify,
        "fence": step.fence,
        "on_failure": step.on_failure,
        "is_fallback": step.is_fallback,
        "within_s": step.within_s,
    }
    if step.undo is not None:
        undo = step.undo
        spec["undo"] = to_json(undo) | {
            "kind": undo.kind.value,
            "attempts": undo.attempts,
            "timeout_s": undo.timeout_s,
        }
    if step.approval is not None:
        rule = step.approval
        spec["approval"] = {
            "policy": rule.policy.value,
            "role": rule.role,
            "expires_s": rule.expires_s,
        }
    return spec


def undo_from_json(name: str, spec: Mapping[str, object]) -> PlannedStep | None:
    """The step that takes the step called `name` back, from that step's row; None without one."""
    undo = spec.get("undo")
    if not isinstance(undo, dict):
        return None
    return PlannedStep(
        name=f"undo-{name}"[:40],
        kind=StepKind(str(undo["kind"])),
        attempts=int(undo["attempts"]),
        timeout_s=int(undo["timeout_s"]),
        title=str(undo["title"]),
        action=str(undo["action"]),
        call=dict(undo["call"]),
        precheck=str(undo["precheck"]),
        verify=str(undo["verify"]),
        fence=dict(undo["fence"]),
        on_failure=CONTINUE,
    )


def approval_from_json(spec: Mapping[str, object]) -> ApprovalRule | None:
    """The rule of an approval step, from its row; None for any other step."""
    rule = spec.get("approval")
    if not isinstance(rule, dict):
        return None
    return ApprovalRule(
        policy=Policy(str(rule["policy"])),
        role=str(rule["role"]),
        expires_s=int(rule["expires_s"]),
    )
