"""A drill for other programs and for documents: JSON and Markdown. Pure."""

from __future__ import annotations

from console.drills import words
from console.figures import iso_time
from runbooks.drills.queries import DrillRow


def as_json(drill: DrillRow) -> dict[str, object]:
    """All of it; times are ISO 8601 in UTC, null where it did not come so far."""
    moments = {
        name: None if moment is None else iso_time(moment.timestamp() * 1000)
        for name, moment in (
            ("created_at", drill.created_at),
            ("faulted_at", drill.faulted_at),
            ("healed_at", drill.healed_at),
            ("finished_at", drill.finished_at),
        )
    }
    return {
        "id": drill.id,
        "scenario": drill.scenario,
        "seed": drill.seed,
        "actor": drill.actor,
        "verdict": drill.verdict or None,
        "reason": drill.reason,
        **moments,
        "truth": {"entity": drill.truth_entity, "kind": drill.truth_kind},
        "triage": {
            "was_judged": drill.was_judged,
            "verdict": drill.triage or None,
            "said": drill.triage_said,
        },
        "response": dict(drill.response),
        "guards": [
            {"name": guard.name, "passed": guard.passed, "text": guard.text}
            for guard in drill.guards
        ],
        "numbers": dict(drill.numbers),
    }


def as_markdown(drill: DrillRow) -> str:
    """A report to put into a ticket."""
    head = [
        f"# {words.sentence(drill)}",
        "",
        f"Drill {drill.id}, `{drill.scenario}`, seed {drill.seed}, by {drill.actor},"
        f" {drill.created_at:%Y-%m-%d %H:%M:%S} UTC.",
        "",
        "```",
        *words.lines(drill),
        "```",
        "",
        "| guard | | what was seen |",
        "|---|---|---|",
        *(
            f"| {guard.name} | {'passed' if guard.passed else 'FAILED'} | {guard.text} |"
            for guard in drill.guards
        ),
    ]
    return "\n".join(head) + "\n"
