"""`make prove`: each runbook against its real fault, on a fleet with traffic of its own.

Everything is done as a person at a terminal would: the fault begins, `manage.py runbook run` and
`approve`, a look whether the world is as the runbook's page promises, and where there is a way
back, `undo` after the fault is over. What is printed at the end is what the page of runbooks says.
Exit 1 if any run was not done, or the world not as promised.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from runbooks.drills.injector import CannotInject
from storage_core.errors import NodeUnreachable
from tests.probe.fleet import Fleet
from tests.prove.faults import CASES, Broken, Case, broken

RUN_S_MAX = 400.0
WAITS, DONE = 3, 0


class NotProven(Exception):
    """What went wrong, as a sentence."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make prove", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="", help="runbooks, with commas")
    options = parser.parse_args(arguments)
    wanted = [case for case in CASES if case.runbook in (options.only or case.runbook).split(",")]
    wrong = 0
    with Fleet(demo=True) as fleet:
        for number in range(options.rounds):
            for case in wanted:
                told = _attempt(fleet, case)
                wrong += bool(told)
                print(f"{case.runbook:20} round {number + 1}: {told or 'proven'}", flush=True)
        print(fleet.manage("runbook", "list").stdout)
    return 1 if wrong or not wanted else 0


def _attempt(fleet: Fleet, case: Case) -> str:
    """Empty if it is proven; else what was not as it should be."""
    try:
        with broken(fleet, case) as was:
            threading.Event().wait(case.wait_s)  # As long as a page takes, or somebody to look.
            run = _carry_out(fleet, case, was)
            told = case.seen(fleet, was)
        if not told and case.back is not None:
            _manage(fleet, DONE, "undo", str(run), "--wait")
            told = case.back(fleet, was)
        return told
    except (NotProven, CannotInject, NodeUnreachable, TimeoutError) as error:
        return str(error)


def _carry_out(fleet: Fleet, case: Case, was: Broken) -> int:
    """Start it, approve what it asks, and wait for its end. Returns its number."""
    params = [word for name, value in was.params.items() for word in ("--param", f"{name}={value}")]
    asks = case.runbook != "capture-evidence"
    began_s = time.monotonic()
    started = _manage(fleet, WAITS if asks else DONE, "run", case.runbook, *params, "--wait")
    number = int(started["run"]["id"])
    if asks:
        why = f"proving {case.runbook}"
        words = ("approve", str(number), "--plan", started["waits"]["plan"][:16])
        _manage(fleet, DONE, *words, "--alone", "--reason", why, "--wait")
    print(f"  run {number}: {time.monotonic() - began_s:.1f} s", flush=True)
    return number


def _manage(fleet: Fleet, expected: int, *words: str) -> dict[str, Any]:
    done = fleet.manage("runbook", *words, "--json", timeout_s=RUN_S_MAX)
    if done.returncode == expected:
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    said = done.stderr
    if done.stdout:
        whole = json.loads(done.stdout)
        steps = [f"{s['name']} {s['state']} {s['outcome']} {s['reason']}" for s in whole["steps"]]
        said = f"{whole['run']['reason']}\n    " + "\n    ".join(steps)
    raise NotProven(f"`runbook {' '.join(words)}` ended with {done.returncode}: {said}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
