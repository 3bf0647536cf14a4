"""What the pages of runs show."""

from collections.abc import Sequence
from typing import Any

from console.live.badge import badge_of
from console.live.observatory import Picture
from console.live.reading import Reading, Sight
from console.runs.plan import standing
from console.verdict import State, Verdict, plural
from runbooks.queries import RunDetail, RunRow, shown_runs

LIST_ROWS = 100

PARAMETER_NAMES = {"seconds": "Length, s", "rate_hz": "Rate, Hz"}
SHOWN: dict[str, State] = {
    "queued": "idle",
    "running": "idle",
    "waiting": "warning",
    "done": "ok",
    "failed": "firing",
    "unknown": "unknown",
    "cancelled": "idle",
}


def list_verdict(runs: Sequence[RunRow], worker: Reading[str]) -> Verdict:
    active = sum(1 for run in runs if run.is_active)
    unsettled = sum(1 for run in runs if run.state == "unknown")
    context = "" if worker.sight is Sight.OK else f"The worker doesn't answer ({worker.reason})"
    if unsettled:
        return Verdict(
            state="unknown",
            sentence=f"{plural(unsettled, 'run')} ended with unknown outcome: settle it",
            context=context,
        )
    if active and worker.sight is not Sight.OK:
        return Verdict(
            state="warning",
            sentence=f"{plural(active, 'run')} not finished, and no worker answers",
            context=f"{context}. Queued runs wait; nothing is lost.",
        )
    if active:
        return Verdict(state="idle", sentence=f"{plural(active, 'run')} in progress")
    if not runs:
        return Verdict(
            state="idle", sentence="Nothing was run yet", context=context or "Start with a profile."
        )
    return Verdict(
        state="idle", sentence=f"Nothing in progress; the last run {runs[0].state}", context=context
    )


# What the list can be narrowed to: (in the address, on the chip).
SHOWS = (
    ("", "All"),
    ("active", "In progress"),
    ("waiting", "Waiting for a person"),
    ("runbooks", "Runbooks"),
    ("profiles", "Profiles"),
    ("drills", "Drills"),
    ("dry", "Dry runs"),
)


def live_context(picture: Picture) -> dict[str, Any]:
    return list_context(picture, "")


def list_context(picture: Picture, show: str) -> dict[str, Any]:
    """The rows of one filter; an unknown one shows all. Dry runs stand apart, on their own chip."""
    runs = shown_runs(show, LIST_ROWS)
    return {
        "verdict": list_verdict(runs, picture.worker),
        "badge": badge_of(picture),
        "runs": runs,
        "shows": [(name, word, name == show) for name, word in SHOWS],
    }


def named_params(run: RunRow) -> Sequence[tuple[str, object]]:
    """The parameters under the names that forms use; one that is new here keeps its own."""
    return [(PARAMETER_NAMES.get(name, name), value) for name, value in run.params.items()]


def run_verdict(detail: RunDetail) -> Verdict:
    run = detail.run
    title = f"{run.title[:1].lower()}{run.title[1:]}"
    name = f"Run {run.id}: {title} on {run.target}"
    if run.is_dry:
        name = f"Dry run, nothing was changed. {name}"
    return Verdict(
        state="warning" if run.is_dry and run.state == "done" else SHOWN[run.state],
        sentence=f"{name}, {_how_it_stands(detail)}",
        context=" · ".join(_about(run)),
    )


def _how_it_stands(detail: RunDetail) -> str:
    run, at = detail.run, standing(detail)
    forward = [step for step in detail.steps if not step.is_undo]
    if run.state == "waiting":
        return "waiting for approval"
    if run.state == "unknown" and at is not None:
        return f"unknown whether step {at.position + 1} happened"
    if run.state == "running" and run.ending:
        return "taking back what it did"
    if run.state == "running" and at is not None:
        return f"step {at.position + 1} of {len(forward)}"
    if run.state == "done":
        took = f" in {run.took_s:.1f} s" if run.took_s is not None else ""
        met = ", SLO met" if any(s.spec.get("action") == "slo.wait" for s in forward) else ""
        if run.undo_state:
            return "done and taken back" if run.undo_state == "done" else "done, not all taken back"
        return f"done{took}{'' if run.is_dry else met}"
    return run.state


def _about(run: RunRow) -> list[str]:
    said = [f"asked for by {run.actor}"]
    if run.content_hash:
        said.insert(0, f"{run.kind} {run.content_hash[:8]}")
    if run.subject:
        said.append(f"for {run.subject.replace('incident:', 'INC-')}")
    if run.reason:
        said.append(run.reason)
    if run.cancel_by and run.is_active:
        said.append(f"{run.cancel_by} asked to cancel it")
    return said
