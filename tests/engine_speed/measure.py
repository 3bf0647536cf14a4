"""`python -m tests.engine_speed`: steps a second of a run, and the time between two of them.

A real worker and a real broker, SQLite on this disk; the steps only say a word, so what is timed is
claiming, recording and looking. Exit 1 below the bar.
"""

from __future__ import annotations

import statistics
import tempfile
from itertools import pairwise
from pathlib import Path

from django.test import override_settings

from runbooks import actions, queries
from runbooks.queries import RunDetail
from tests.runbooks.house import House, eventually, lived_in
from tests.runbooks.runbook_files import HEAD

RUNS = 6
STEPS = 24
STEPS_PER_S_MIN, BETWEEN_MS_MAX = 50.0, 100.0
STEP = "  - {{id: say{0}, title: Say it, action: run.note, with: {{text: hello}}}}\n"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        house = House(Path(folder) / "home")
        try:
            house.migrate()
            house.start_valkey()
            house.start_worker()
            with lived_in(house), override_settings(HOLDFAST=house.settings, HOME=house.home):
                return _measure(house.home)
        finally:
            house.close()


def _measure(home: Path) -> int:
    (home / "runbooks").mkdir()
    text = HEAD.replace("NAME", "words") + "".join(STEP.format(n) for n in range(STEPS))
    (home / "runbooks" / "words.yaml").write_text(text)
    rates, gaps_ms, waits_ms = [], [], []
    for _ in range(RUNS):
        detail = _ended(actions.start_runbook("words", {"node": "node-0"}, actor="ann").pk)
        attempts = [step.attempts[0] for step in detail.steps]
        assert detail.run.state == "done", detail.run.reason
        ends = [attempt.finished_at or attempt.started_at for attempt in attempts]
        rates.append(STEPS / (ends[-1] - attempts[0].started_at).total_seconds())
        waits_ms.append((attempts[0].started_at - detail.run.created_at).total_seconds() * 1000)
        gaps_ms += [
            (after.started_at - end).total_seconds() * 1000
            for end, (_, after) in zip(ends, pairwise(attempts), strict=False)
        ]
    best, between_ms = max(rates), statistics.median(gaps_ms)
    print(f"steps/s       best {best:.0f}, median {statistics.median(rates):.0f} of {RUNS} runs")
    print(f"step to step  p50 {between_ms:.0f} ms, max {max(gaps_ms):.0f} ms")
    print(f"first claim   p50 {statistics.median(waits_ms):.0f} ms after the button")
    return 0 if best >= STEPS_PER_S_MIN and between_ms <= BETWEEN_MS_MAX else 1


def _ended(run_id: int) -> RunDetail:
    eventually(lambda: not queries.run_detail(run_id).run.is_active, "the run ends")
    return queries.run_detail(run_id)
