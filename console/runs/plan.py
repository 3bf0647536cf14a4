"""The plan of a run as its page shows it: one row a step, what stands in it, what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.runs.wording import as_text, call_of, fence_of, tag_of
from console.verdict import State
from runbooks.queries import AttemptRow, RunDetail, StepRow

SHAPES: dict[str, tuple[State | str, str]] = {
    "queued": ("idle", "to do"),
    "running": ("running", "running"),
    "waiting": ("warning", "waiting for approval"),
    "done": ("ok", "done"),
    "failed": ("firing", "failed"),
    "unknown": ("unknown", "unknown"),
    "cancelled": ("idle", "cancelled"),
    "skipped": ("idle", "not needed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One named text in an open row."""

    name: str
    text: str
    is_output: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """`took_s` is None until the step ended; `is_now` where the run stands."""

    number: int
    key: str
    title: str
    tag: str
    shape: str
    word: str
    reason: str
    is_now: bool
    is_undo: bool
    took_s: float | None
    timeout_s: int
    lines: Sequence[Line]
    attempts: Sequence[AttemptRow]


def plan_rows(detail: RunDetail) -> Sequence[PlanRow]:
    """All steps, those back at the end."""
    return [_row(detail, step) for step in detail.steps]


def standing(detail: RunDetail) -> StepRow | None:
    """The step that the run stands at, for its page; None at the end."""
    at = ("running", "waiting", "unknown")
    first = next((step for step in detail.steps if step.state in at), None)
    return first or next((step for step in detail.steps if step.state == "queued"), None)


def _row(detail: RunDetail, step: StepRow) -> PlanRow:
    shape, word = SHAPES[step.state]
    if detail.run.is_dry and step.state == "done" and step.changes:
        shape, word = "idle", "not done: dry run"
    if step.state == "done" and step.reason:
        word = "settled"
    if _was_held(step) and step.state == "queued":
        shape, word = "warning", "held"
    if step.state == "failed" and step.reason.startswith("The world moved"):
        shape, word = "warning", "refused by the fence"
    at = standing(detail)
    return PlanRow(
        number=step.position + 1,
        key=f"step-{step.position}",
        title=step.title,
        tag=tag_of(step),
        shape=shape,
        word=word,
        reason=step.reason,
        is_now=detail.run.is_active and at is step,
        is_undo=step.is_undo,
        took_s=step.took_s,
        timeout_s=step.timeout_s,
        lines=_lines(step),
        attempts=step.attempts,
    )


def _was_held(step: StepRow) -> bool:
    return bool(step.attempts) and step.attempts[-1].state == "held"


def _lines(step: StepRow) -> Sequence[Line]:
    spec = step.spec
    told = [
        ("Before it", spec.get("precheck")),
        ("Only if", fence_of(step)),
        ("Expected", spec.get("expect")),
        ("Seen after", spec.get("verify")),
    ]
    lines = [Line(name=name, text=str(text)) for name, text in told if text]
    if spec.get("action"):
        call = call_of(step)
        sent = f"{spec['action']} {as_text(call)}" if call else str(spec["action"])
        lines.insert(0, Line(name="Sends" if step.changes else "Asks", text=sent, is_output=True))
    if step.outcome:
        lines.append(Line(name="Output", text=as_text(step.outcome), is_output=True))
    return lines
