"""`make loop`: eight kinds of fault, three times each, from the fault to the cure without a hand.

Problem: each part of the loop has its tests, and the promise is about the whole: fault, alert,
incident, finding, runbook, fixed. Idea: the demo as a user starts it, a policy for each kind that
has a runbook, and drills asked for by the API; then the console's own words are laid beside the
right answer. Nothing here reaches into a process or a table. Exit 1 if a fault was not noticed or
a run left something unknown.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Sequence

from console.slos import state
from runbooks import clock
from tests.loop.case import Case
from tests.loop.kinds import KINDS, Kind
from tests.loop.outcome import Outcome, table
from tests.loop.program import Program
from tests.probe.fleet import Fleet

WARM_S = 60.0
"""Traffic before the first fault: a burn rate needs a measured window."""
SETTLE_S_MAX = 150.0
NOTHING_LEFT = "cannot be taken back: it is done"
SCOPES = ("read", "runs:write", "drills:write", "admin")


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S", time.gmtime()), text, flush=True)


class Loop:
    """One fleet, its policies, and the outcomes so far."""

    def __init__(self, fleet: Fleet) -> None:
        self.outcomes: list[Outcome] = []
        self._fleet = fleet
        words = [word for scope in SCOPES for word in ("--scope", scope)]
        token = fleet.manage("token", "loop", *words).stdout.strip()
        self._program = Program(fleet.settings.web_port, token)

    def allow(self, kinds: Sequence[Kind]) -> None:
        """Let each runbook start by itself for its kind."""
        for kind in kinds:
            if kind.runbook:
                asked = {"finding_kind": kind.cause, "runbook": kind.runbook, "is_on": True}
                self._program.post("policies", asked)

    def take(self, kind: Kind, number: int) -> None:
        """One fault, and everything back as it was."""
        self._settle()
        case = Case(self._program, kind, kind.drills[number % len(kind.drills)])
        outcome = case.watch()
        self.outcomes.append(outcome)
        say(str(outcome))
        for run_id in case.run_ids:
            self._undo(run_id)

    def _undo(self, run_id: int) -> None:
        """Take back what the runbook left: a drained node, a throttled tenant."""
        done = self._fleet.manage("runbook", "undo", str(run_id), "--wait", "--timeout", "40")
        if done.returncode not in (0, 5) and NOTHING_LEFT not in done.stderr:
            say(f"run {run_id} was not taken back: {(done.stdout + done.stderr).strip()[-150:]}")

    def _settle(self) -> None:
        """Until every objective is met, nothing fires and all nodes answer."""
        give_up_s = time.monotonic() + SETTLE_S_MAX
        pause = threading.Event()
        while time.monotonic() < give_up_s:
            found = state.read(self._fleet.settings.run, now_ms=clock.now_ms())
            if found.met and not found.firing and len(self._fleet.statuses()) == 3:
                return
            pause.wait(1.0)
        say(f"going on though not all is well: met {found.met}, {len(found.firing)} alerts fire")


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.loop", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="times that each kind is taken")
    parser.add_argument("--minutes", type=float, default=60.0, help="no fault begins after this")
    parser.add_argument("--kinds", default="", help="only these, by commas")
    parser.add_argument("--json", default="", help="write the outcomes to this file, too")
    options = parser.parse_args(argv)
    chosen = [kind for kind in KINDS if kind.name in options.kinds.split(",") or not options.kinds]
    give_up_s = time.monotonic() + options.minutes * 60
    with Fleet(demo=True) as fleet:
        loop = Loop(fleet)
        loop.allow(chosen)
        say(f"{len(chosen)} kinds, {options.rounds} times each; traffic for {WARM_S:g} s first")
        threading.Event().wait(WARM_S)
        try:
            for number in range(options.rounds):
                for kind in chosen:
                    if time.monotonic() < give_up_s:
                        loop.take(kind, number)
        finally:
            print("\n".join(table(loop.outcomes)), flush=True)
            if options.json:
                with open(options.json, "w", encoding="utf-8") as stream:
                    json.dump([outcome._asdict() for outcome in loop.outcomes], stream, indent=1)
    unseen = [one for one in loop.outcomes if not one.is_void and one.detected_s is None]
    unknown = [one for one in loop.outcomes if one.run == "unknown"]
    return int(bool(unseen or unknown))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
