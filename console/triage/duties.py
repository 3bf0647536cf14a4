"""The watcher's part in triage: ring for looks that are due, and mark drills that are over."""

from __future__ import annotations

from django.db import close_old_connections

from console.triage import judge, look
from runbooks.watch import Duty


def look_again(now_ms: int) -> str:
    """Ring for every incident whose answer may have ripened."""
    close_old_connections()
    look.begin_unseen(now_ms)
    rung = look.ring_due(now_ms)
    return f"{rung} looks rung" if rung else ""


def mark_drills(now_ms: int) -> str:
    """Judge the drills that ended since the last round."""
    close_old_connections()
    judged = judge.judge_due(now_ms)
    return f"{judged} drills judged" if judged else ""


LOOKS = Duty(name="triage", every_s=1.0, work=look_again)
ACCURACY = Duty(name="accuracy", every_s=10.0, work=mark_drills)
