"""Runs on an incident's timeline, and among what changed: called after each change is on disk."""

from __future__ import annotations

import contextlib

from console.changes.actions import record_change
from console.incidents import actions
from console.incidents.errors import NoSuchIncident
from runbooks import library
from runbooks.errors import RunError
from runbooks.events import RunEvent

SUBJECT = "incident:"
DIGITS_MAX = 18
"""Of an incident's number: what a row's key may hold."""
TOLD = ("waiting", "running", "done", "failed", "unknown", "cancelled")
# A profile only looks; a drill's doings must not give it away.
NO_CHANGE = ("capture-profile", "drill")
RESTARTS = "node.restart"
"""The step that ends a process on purpose: triage must not take it for a crash."""


def heard(event: RunEvent) -> None:
    """A listener of runs (setting RUN_LISTENERS)."""
    if event.to_state not in TOLD or event.from_state == event.to_state:
        return
    because = f": {event.reason}" if event.reason else ""
    text = f"{event.kind} on {event.target} is {event.to_state}{because}"
    number = event.subject.removeprefix(SUBJECT)
    is_number = number.isascii() and number.isdigit() and len(number) <= DIGITS_MAX
    if event.subject.startswith(SUBJECT) and is_number:
        with contextlib.suppress(NoSuchIncident):  # Any subject may be given, also one not ours.
            actions.note_machine(
                int(number), kind="run", text=text, at_ms=event.at_ms, run_id=event.run_id
            )
    is_real = event.mode == "real" and event.kind not in NO_CHANGE
    # Once: a run that was approved goes on with what it began.
    if is_real and event.to_state == "running" and event.from_state != "waiting":
        record_change(
            "runs",
            "restart" if _restarts(event.kind) else "run",
            f"run {event.run_id}: {event.kind} on {event.target}",
            entity=event.target,
            detail={"run": event.run_id},
            actor=event.requested_by,
            at_ms=event.at_ms,
        )


def _restarts(kind: str) -> bool:
    """Whether this runbook, as it is in force, ends a node's process."""
    try:
        return any(step.action == RESTARTS for step in library.get(kind).steps)
    except RunError:
        return False  # A run of another kind than a runbook.
