"""A runbook as a value, made from a document that `reading` found to be sound.

A runbook is a kind of run, so all it has to give the engine is a RunKind: the check of its
parameters and its steps. The rest is for people: prose, what it matches, what it changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from runbooks import bell, limits
from runbooks.engine.plan import (
    ABORT,
    CONTINUE,
    ApprovalRule,
    JsonObject,
    PlannedStep,
    Policy,
    RunKind,
    StepKind,
)
from runbooks.errors import BadParameter
from runbooks.steps.table import STEP_ACTIONS

DEADLINE_DEFAULT_S: Final = 600
TIMEOUT_DEFAULT_S: Final = 15
EXPIRES_DEFAULT_S: Final = 600
ATTEMPTS_OF_READS: Final = 2
SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "int": (int,),
    "number": (int, float),
    "text": (str,),
    "flag": (bool,),
}
NAMED: Final = {
    "int": "a whole number",
    "number": "a number",
    "text": "a text",
    "flag": "yes or no",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One thing that the starter may set. `default` None: it must be set."""

    name: str
    type: str
    default: int | float | str | bool | None
    low: float | None
    high: float | None
    about: str

    def checked(self, value: object) -> object:
        """The value as it is kept. Raises BadParameter."""
        allowed = TYPES[self.type]
        is_flag = isinstance(value, bool)
        if not isinstance(value, allowed) or (is_flag and self.type != "flag"):
            raise BadParameter(self.name, value, self.expected)
        if isinstance(value, int | float) and not is_flag:
            too_low = self.low is not None and value < self.low
            if too_low or (self.high is not None and value > self.high):
                raise BadParameter(self.name, value, self.expected)
        if isinstance(value, str) and len(value) > limits.TARGET_CHARS_MAX:
            raise BadParameter(self.name, value, self.expected)
        return value

    @property
    def expected(self) -> str:
        """What a value may be, in words."""
        words = NAMED[self.type]
        if self.low is not None and self.high is not None:
            return f"{words} from {self.low:g} to {self.high:g}"
        return words


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A kind of finding, and the role that its node must have ("any" for whichever)."""

    kind: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """One version of one runbook. `is_own` tells a file of the user's from one that we ship."""

    name: str
    title: str
    owner: str
    summary: str
    changes: str
    leaves: str
    target: str
    matches: tuple[Match, ...]
    params: tuple[Parameter, ...]
    steps: tuple[PlannedStep, ...]
    lock: str
    deadline_s: int
    undoes_failures: bool
    content_hash: str
    is_own: bool
    path: str
    text: str

    @property
    def approval(self) -> ApprovalRule | None:
        """The first approval that it asks for; None if it asks for none."""
        return next((step.approval for step in self.steps if step.approval is not None), None)

    @property
    def has_undo(self) -> bool:
        return any(step.undo is not None for step in self.steps)

    def kind(self) -> RunKind:
        """What the engine needs of it."""
        return RunKind(
            name=self.name,
            title=self.title,
            queue=bell.RUNS_QUEUE,
            deadline_s=self.deadline_s,
            check=self._check,
            steps=lambda _params: self.steps,
            lock=self._lock,
            undoes_failures=self.undoes_failures,
        )

    def _lock(self, target: str, _params: JsonObject) -> str:
        return {"fleet": "fleet", "target": target}.get(self.lock, "")

    def _check(self, target: str, params: Mapping[str, object]) -> JsonObject:
        check_target(self.target, target)
        known = {parameter.name: parameter for parameter in self.params}
        for name, value in params.items():
            if name not in known:
                raise BadParameter(name, value, f"only {', '.join(sorted(known)) or 'the target'}")
        checked: JsonObject = {}
        for name, parameter in known.items():
            value = params.get(name, parameter.default)
            if value is None:
                raise BadParameter(name, value, parameter.expected)
            checked[name] = parameter.checked(value)
        return checked


def check_target(kind: str, target: str) -> None:
    """Raises BadParameter if this can't be the target of a runbook of that kind of target."""
    number = target.removeprefix("node-")
    fits = {
        "node": target.startswith("node-") and number.isascii() and number.isdecimal(),
        "tenant": target.startswith("tenant:") and len(target) > len("tenant:"),
        "fleet": target == "fleet",
    }
    expected = {"node": "a node such as node-1", "tenant": "tenant:NAME", "fleet": "fleet"}
    if not fits[kind]:
        raise BadParameter("target", target, expected[kind])


def seconds(duration: str) -> int:
    """`90s`, `3m`, `1h` in seconds."""
    return int(duration[:-1]) * SECONDS[duration[-1]]


def build(
    document: Mapping[str, Any], *, text: str, content_hash: str, path: str, is_own: bool
) -> Runbook:
    """The runbook in a sound document."""
    metadata = document["metadata"]
    return Runbook(
        name=metadata["name"],
        title=metadata["title"],
        owner=metadata.get("owner", ""),
        summary=document["summary"],
        changes=document.get("changes", ""),
        leaves=document.get("leaves", ""),
        target=document["target"],
        matches=tuple(
            Match(kind=match["kind"], role=match.get("role", "any"))
            for match in document.get("match", ())
        ),
        params=tuple(_parameter(n, told) for n, told in document.get("params", {}).items()),
        steps=tuple(_step(step) for step in document["steps"]),
        lock=document.get("lock", "fleet"),
        deadline_s=seconds(document.get("deadline", f"{DEADLINE_DEFAULT_S}s")),
        undoes_failures=document.get("rollback") == "always",
        content_hash=content_hash,
        is_own=is_own,
        path=path,
        text=text,
    )


def _parameter(name: str, told: Mapping[str, Any]) -> Parameter:
    return Parameter(
        name=name,
        type=told["type"],
        default=told.get("default"),
        low=told.get("min"),
        high=told.get("max"),
        about=told.get("about", ""),
    )


def _step(step: Mapping[str, Any]) -> PlannedStep:
    if "approval" in step:
        rule = step["approval"]
        return PlannedStep(
            name=step["id"],
            kind=StepKind.APPROVAL,
            title=step["title"],
            attempts=1,
            timeout_s=TIMEOUT_DEFAULT_S,
            approval=ApprovalRule(
                policy=Policy(rule["policy"]),
                role=rule.get("role", "responder"),
                expires_s=seconds(rule.get("expires", f"{EXPIRES_DEFAULT_S}s")),
            ),
        )
    kind = STEP_ACTIONS[step["action"]].kind
    leads_on = step.get("onFailure", ABORT)
    return PlannedStep(
        name=step["id"],
        kind=kind,
        title=step["title"],
        action=step["action"],
        call=dict(step.get("with", {})),
        precheck=step.get("precheck", ""),
        expect=step.get("expect", ""),
        verify=step.get("verify", ""),
        fence=dict(step.get("fence", {})),
        attempts=step.get("attempts", ATTEMPTS_OF_READS if kind is StepKind.READ else 1),
        timeout_s=seconds(step.get("timeout", f"{TIMEOUT_DEFAULT_S}s")),
        within_s=seconds(step["within"]) if "within" in step else 0,
        on_failure=leads_on if step.get("isCritical", True) else CONTINUE,
        is_fallback=step.get("fallback", False),
        undo=_undo(step["id"], step["undo"]) if "undo" in step else None,
    )


def _undo(name: str, undo: Mapping[str, Any]) -> PlannedStep:
    return PlannedStep(
        name=f"undo-{name}"[: limits.NAME_CHARS_MAX],
        kind=STEP_ACTIONS[undo["action"]].kind,
        title=undo["title"],
        action=undo["action"],
        call=dict(undo.get("with", {})),
        precheck=undo.get("when", ""),
        verify=undo.get("verify", ""),
        fence=dict(undo.get("fence", {})),
        attempts=undo.get("attempts", 3),
        timeout_s=seconds(undo.get("timeout", f"{TIMEOUT_DEFAULT_S}s")),
        on_failure=CONTINUE,
    )
