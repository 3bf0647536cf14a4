"""`make kill-points`: kill the worker at each point of the runbook, many times, and count.

Problem: a run that acts on a store in trouble is itself carried out by a process that may die at
any instruction. Idea: name the instructions that matter, die at each, let the product go on by
itself, and count in the store what was done. In odd rounds the whole worker dies and is started
again, in even ones only the process that holds the step. The first round of each sort is the whole
runbook; the others leave out the steps that only look or wait, for half the time. Exit 1 if
anything was done twice, if a run didn't end, or if a death didn't come.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.kill_points.doors import CHILD, WHOLE
from tests.kill_points.stand import Outcome, Stand, stand
from tests.runbooks.house import House

POINTS: Mapping[str, tuple[str, ...]] = {
    "before the first claim": ("before claim before",),
    "after the first claim": ("after claim before",),
    "transfer claimed": ("after claim transfer",),
    "transfer noted, not sent": ("after note_sent transfer",),
    "transfer sent, not seen": ("after perform transfer",),
    "transfer seen, not recorded": ("before record transfer",),
    "transfer recorded": ("after record transfer",),
    "before its fence": ("after perform transfer", "before raise_fence transfer"),
    "after its fence": ("after perform transfer", "after raise_fence transfer"),
    "drain sent, not recorded": ("after perform drain",),
    "in the middle of the spot check": ("before read check",),
    "before the end": ("before finish end",),
}
ROUNDS_DEFAULT = 20
LOOKING = ("confirm", "evidence", "recover")
HEAD = (
    f"{'point':34}{'runs end':>20}{'transfers':>11}{'drains':>8}{'other':>8}{'median':>10}\n"
    f"{'':34}{'':>20}{'rounds x n':>11}{'':>8}{'terms':>8}{'s':>10}"
)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make kill-points", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS_DEFAULT, help="of each point")
    parser.add_argument("--only", default="", help="points whose name has this in it")
    options = parser.parse_args(arguments)
    names = [name for name in POINTS if options.only in name]
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        house = House(Path(folder) / "tables")
        house.migrate()
        with stand(house.home / "console.sqlite3") as played:
            print(HEAD)
            wrong = sum(_play(played, name, options.rounds) for name in names)
    took_s = time.monotonic() - began_s
    print(f"{len(names)} points x {options.rounds} in {took_s:.0f} s: {wrong} rounds wrong")
    return 1 if wrong or not names else 0


def _play(played: Stand, name: str, rounds: int) -> int:
    """All rounds of one point, as a line. Returns how many were not as they must be."""
    found: list[Outcome] = []
    took_s: list[float] = []
    wrong: list[str] = []
    for number in range(rounds):
        played.leave_out(*(LOOKING if number > 1 else ()))
        began_s = time.monotonic()
        outcome = played.play(WHOLE if number % 2 else CHILD, POINTS[name])
        took_s.append(time.monotonic() - began_s)
        found.append(outcome)
        problems = outcome.problems
        if outcome.deaths != len(POINTS[name]):
            problems = [*problems, f"{outcome.deaths} deaths"]
        if problems:
            wrong.append(f"round {number}: {'; '.join(problems)}")
    ends = Counter(outcome.state for outcome in found)
    counts = [
        " ".join(f"{count}x{times}" for times, count in sorted(Counter(values).items()))
        for values in ([o.transfers for o in found], [o.drains for o in found])
    ]
    said = ", ".join(f"{count} {state}" for state, count in ends.most_common())
    median_s = statistics.median(took_s)
    extra = sum(outcome.terms - outcome.transfers for outcome in found)
    print(
        f"{name:34}{said:>20}{counts[0]:>11}{counts[1]:>8}{extra:>8}{median_s:>10.1f}", flush=True
    )
    for line in wrong:
        print(f"  {line}", flush=True)
    return len(wrong)
