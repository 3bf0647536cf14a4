"""The table of what can be run. A new kind of run is one line here and one module in `steps`."""

from __future__ import annotations

from runbooks.drills import kind as drill
from runbooks.engine.executor import Action
from runbooks.engine.plan import RunKind
from runbooks.steps import profile

KINDS: dict[str, RunKind] = {
    profile.CAPTURE_PROFILE.name: profile.CAPTURE_PROFILE,
    drill.DRILL.name: drill.DRILL,
}

ACTIONS: dict[tuple[str, str], Action] = {
    **{(profile.CAPTURE_PROFILE.name, name): action for name, action in profile.ACTIONS.items()},
    **{(drill.DRILL.name, name): action for name, action in drill.ACTIONS.items()},
}
