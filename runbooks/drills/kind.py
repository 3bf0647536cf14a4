"""The run `drill`: ask the guards, have one process conduct it, make sure that all is well.

The worker conducts nothing itself. It starts one process in a session of its own and waits for it;
a worker that dies takes nothing with it, and the next attempt finds the process, or its result, in
the drill's folder. So the step may be repeated: a drill is conducted at most once, whoever asks.
"""

from __future__ import annotations

import math
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from runbooks import bell, clock
from runbooks.drills import guards, healing, journal, limits, mark
from runbooks.drills.folder import DrillFolder, prune
from runbooks.drills.models import DrillVerdict
from runbooks.drills.scenarios import SCENARIOS, Scenario
from runbooks.engine.executor import Action, AttemptTaken, StepContext, StepFailed, StepResult
from runbooks.engine.plan import JsonObject, PlannedStep, RunKind, StepKind
from runbooks.errors import BadParameter
from runbooks.models import Run
from storage_core.fleet.linux import Identity, identify
from storage_core.fleet.registry import PART_VARIABLE

KIND = "drill"
FLEET = "fleet"
ROOT = Path(__file__).resolve().parents[2]
LOOK_S = 0.5


def _check(target: str, params: Mapping[str, object]) -> JsonObject:
    if target != FLEET:
        raise BadParameter("target", target, f"{FLEET!r}: a drill finds its node by itself")
    unknown = sorted(set(params) - {"scenario", "seed", "hold_s"})
    if unknown:
        raise BadParameter(unknown[0], params[unknown[0]], "only scenario, seed and hold_s")
    scenario, seed = str(params.get("scenario")), params.get("seed", 0)
    if scenario not in SCENARIOS:
        raise BadParameter("scenario", scenario, f"one of {', '.join(SCENARIOS)}")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise BadParameter("seed", seed, "a whole number from 0")
    hold_s = checked_hold_s(params.get("hold_s"), SCENARIOS[scenario])
    return {"scenario": scenario, "seed": seed, "hold_s": hold_s}


def checked_hold_s(hold_s: object, scenario: Scenario) -> float:
    """How long the fault is to stand; None asks for the scenario's own. Raises BadParameter."""
    if hold_s is None:
        return scenario.hold_s
    is_number = isinstance(hold_s, int | float) and not isinstance(hold_s, bool)
    if not is_number or not limits.HOLD_S_MIN <= float(str(hold_s)) <= limits.HOLD_S_MAX:
        expected = f"seconds from {limits.HOLD_S_MIN} to {limits.HOLD_S_MAX}"
        raise BadParameter("hold_s", hold_s, expected)
    return float(str(hold_s))


def _steps(params: JsonObject) -> tuple[PlannedStep, ...]:
    drill_s_max = math.ceil(float(str(params["hold_s"]))) + limits.REST_S_MAX + 20
    return (
        PlannedStep(name="guards", kind=StepKind.READ, attempts=2, timeout_s=15),
        PlannedStep(name="drill", kind=StepKind.IDEMPOTENT, attempts=3, timeout_s=drill_s_max),
        PlannedStep(name="heal", kind=StepKind.IDEMPOTENT, attempts=3, timeout_s=45),
    )


DRILL = RunKind(
    name=KIND,
    title="Drill",
    queue=bell.HOST_QUEUE,
    deadline_s=600,
    check=_check,
    steps=_steps,
    told_by="scenario",
)


def check_guards(context: StepContext) -> StepResult:
    """Ask all guards once more; a no ends the drill before anything is touched."""
    folder = _folder(context)
    if folder.has_begun():
        return StepResult(outcome={})
    journal.create(Run.objects.get(pk=context.run_id))
    scenario = SCENARIOS[str(context.params["scenario"])]
    found = guards.check(scenario, run_id=context.run_id)
    journal.note_guards(context.run_id, found)
    failed = [guard for guard in found if not guard.passed]
    if failed:
        reason = "; ".join(f"{guard.name}: {guard.text}" for guard in failed)
        journal.end(context.run_id, DrillVerdict.REFUSED, reason)
        raise StepFailed(reason, again=False)
    return StepResult(outcome={guard.name: guard.text for guard in found})


def conduct(context: StepContext) -> StepResult:
    """Start the conducting process or find the one that was started, and wait for its end."""
    folder = _folder(context)
    prune(settings.HOLDFAST.home, keep=context.run_id)
    if folder.result() is None and not folder.has_begun():
        _spawn(folder, context.run_id)
    try:
        _wait(folder, context)
    except AttemptTaken:
        folder.ask_stop(actor="engine", reason="the run's time was over")
        raise
    result = folder.result()
    if result is None:
        healing.heal(settings.HOLDFAST)
        mark.clear(settings.HOLDFAST.run, context.run_id)
        reason = "the conducting process died; its fault was taken back"
        journal.end(context.run_id, DrillVerdict.ABORTED, reason)
        raise StepFailed(f"{reason}; see {folder.log.name} in {folder.path}", again=False)
    journal.conclude(context.run_id, result)
    return StepResult(outcome=_summary(result))


def make_sure(context: StepContext) -> StepResult:
    """No fault is left, every node serves; the outcome is the run's."""
    problem = healing.heal(settings.HOLDFAST, keep_lease=context.keep_lease)
    if problem:
        raise StepFailed(problem, again=True)
    return StepResult(outcome=dict(context.outcomes["drill"]))


ACTIONS: dict[str, Action] = {"guards": check_guards, "drill": conduct, "heal": make_sure}


def make_folder(run_id: int, run_key: str, params: Mapping[str, object]) -> DrillFolder:
    """The folder with its plan, made by whoever comes first."""
    folder = DrillFolder(settings.HOLDFAST.home, run_id)
    folder.make({**params, "run_id": run_id, "key": run_key, "made_ms": clock.now_ms()})
    return folder


def conducting(folder: DrillFolder) -> Identity | None:
    """The process that conducts now, or None if none does."""
    child = folder.child()
    if child is None:
        return None
    try:
        told = Identity(
            int(str(child["pid"])), int(str(child["start_time_ticks"])), str(child["boot_id"])
        )
    except (KeyError, ValueError):
        return None
    return told if identify(told.pid) == told else None


def _folder(context: StepContext) -> DrillFolder:
    return make_folder(context.run_id, context.run_key, context.params)


def _spawn(folder: DrillFolder, run_id: int) -> None:
    """In a session of its own and under no part's name: nobody's end is its end."""
    environment = {name: value for name, value in os.environ.items() if name != PART_VARIABLE}
    with open(folder.log, "ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "runbooks.drills.conduct", str(run_id)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    found = identify(child.pid)
    if found is not None:
        folder.note_child(found._asdict())


def _wait(folder: DrillFolder, context: StepContext) -> None:
    """Until the conducting process has ended."""
    found = conducting(folder)
    if found is None:
        return
    try:
        handle = os.pidfd_open(found.pid)
    except ProcessLookupError:
        return
    try:
        while not select.select([handle], [], [], LOOK_S)[0]:
            context.keep_lease()
    finally:
        os.close(handle)


def _summary(result: Mapping[str, object]) -> JsonObject:
    numbers = result.get("numbers")
    return {
        "verdict": result["verdict"],
        "reason": result.get("reason", ""),
        "numbers": numbers if isinstance(numbers, dict) else {},
    }
