"""What the pages of runs show."""

from collections.abc import Sequence
from typing import Any

from console.live.badge import badge_of
from console.live.observatory import Picture
from console.live.reading import Reading, Sight
from console.verdict import State, Verdict, plural
from runbooks.queries import RunDetail, RunRow, recent_runs

LIST_ROWS = 100

PARAMETER_NAMES = {"seconds": "Length, s", "rate_hz": "Rate, Hz"}
SHOWN: dict[str, State] = {
    "queued": "idle",
    "running": "idle",
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


def live_context(picture: Picture) -> dict[str, Any]:
    runs = recent_runs(LIST_ROWS)
    return {
        "verdict": list_verdict(runs, picture.worker),
        "badge": badge_of(picture),
        "runs": runs,
    }


def named_params(run: RunRow) -> Sequence[tuple[str, object]]:
    """The parameters under the names that forms use; one that is new here keeps its own."""
    return [(PARAMETER_NAMES.get(name, name), value) for name, value in run.params.items()]


def run_verdict(detail: RunDetail) -> Verdict:
    run = detail.run
    done = sum(1 for step in detail.steps if step.state == "done")
    name = f"Run {run.id}: {run.title.lower()} on {run.target}"
    if run.state == "done":
        took = f" in {run.took_s:.1f} s" if run.took_s is not None else ""
        sentence = f"{name}, done{took}"
    elif run.is_active and run.state == "running":
        sentence = f"{name}, step {min(done + 1, len(detail.steps))} of {len(detail.steps)}"
    else:
        sentence = f"{name}, {run.state}"
    asked = f"asked for by {run.actor}"
    subject = f" · for {run.subject}" if run.subject else ""
    reason = f" · {run.reason}" if run.reason else ""
    cancelling = f" · {run.cancel_by} asked to cancel it" if run.cancel_by else ""
    return Verdict(
        state=SHOWN[run.state],
        sentence=sentence,
        context=f"{asked}{subject}{reason}{cancelling}",
    )
