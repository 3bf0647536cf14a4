"""The doors of the engine at which a worker can be made to die.

The product has no switch for this: its doors are wrapped here, from outside, before the worker
forks. The file `die-at` in the home holds one line a death: who dies (`whole`: the worker with all
its children; `child`: the process that holds the step) and the point, such as `after perform
transfer`. A line is taken out before its death, so that whoever comes next lives.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from runbooks import journal, limits, turns
from runbooks.engine import executor
from runbooks.steps import spot_check
from storage_core.client import FleetClient

PLAN = "die-at"
WHOLE, CHILD = "whole", "child"
TIMES_FASTER = 4


def wrap_all() -> None:
    """Wrap them, and make leases a quarter as long: only the waiting depends on their length."""
    limits.LEASE_S /= TIMES_FASTER
    limits.RENEW_S /= TIMES_FASTER
    limits.RING_FIRST_S /= TIMES_FASTER
    _wrap(journal, "claim", lambda _snapshot, effect, **_: effect.name)
    _wrap(journal, "note_sent", lambda claim, _sent: claim.step_name)
    _wrap(executor, "perform", lambda _action, context: context.step_name)
    _wrap(journal, "record", lambda claim, _performed, **_: claim.step_name)
    _wrap(turns, "finish", lambda *_, **__: "end")
    _wrap(FleetClient, "raise_fence", lambda _self, _node, _run, step, _attempt: step)
    _wrap(spot_check, "_read", lambda *_: "check", called="read")


def _wrap(owner: object, door: str, step_of: Callable[..., str], *, called: str = "") -> None:
    """Let the worker die before or after `owner.door`."""
    through, name = getattr(owner, door), called or door

    @functools.wraps(through)
    def passed(*args: Any, **kwargs: Any) -> Any:
        step = step_of(*args, **kwargs)
        _die_here(f"before {name} {step}")
        answer = through(*args, **kwargs)
        _die_here(f"after {name} {step}")
        return answer

    setattr(owner, door, passed)


def _die_here(point: str) -> None:
    """End this instant if the plan's first line says so."""
    path: Path = settings.HOME / PLAN
    lines = path.read_text().splitlines() if path.exists() else []
    who, _, where = lines[0].partition(" ") if lines else ("", "", "")
    if where != point:
        return
    draft = path.with_name(f"{PLAN}.{os.getpid()}")
    draft.write_text("".join(f"{line}\n" for line in lines[1:]))
    draft.replace(path)
    if who == WHOLE:
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
