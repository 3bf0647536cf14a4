"""Every bound of triage, with its unit and its reason."""

from __future__ import annotations

from typing import Final

WINDOW_S: Final = 900
"""How far back the evidence reaches."""
CLAIMS_MAX: Final = 5
"""Ranked claims kept of one diagnosis; nobody reads a sixth."""
LINES_MAX: Final = 3
POINTS_MAX: Final = 90
"""Points of one evidence curve: as wide as it is drawn."""
REQUESTS_MAX: Final = 150
"""Kept requests read of each window: share differences of 10 points show at this many."""
LOOK_AGAIN_AFTER_S: Final = (8, 15, 30, 60, 120, 300)
"""Waits between looks at one incident. The first is early: a page goes out with what is known
then, and ten seconds later silence and stages tell far more."""
RING_AGAIN_AFTER_S: Final = 20
"""A bell that nobody answered rings again after this."""
RINGS_A_ROUND_MAX: Final = 20
FIRST_RING_WITHIN_S: Final = 4
"""An incident rings triage itself when it opens; if that is lost, the watcher does after this."""
UNSEEN_FOR_S_MAX: Final = 600
"""Incidents older than this are not looked at for the first time any more: the rings have moved
on."""
TASK_SOFT_LIMIT_S: Final = 45
TASK_HARD_LIMIT_S: Final = 60
