"""What every request about a run is checked for, and the refusals that they share."""

from __future__ import annotations

from opentelemetry import propagate

from runbooks.engine.states import Mode
from runbooks.errors import AlreadyActive, BadParameter, WrongState
from runbooks.models import Run


def check_text(field: str, value: str, chars_max: int, *, required: bool) -> None:
    """Raises BadParameter for a text that is too long, empty though required, or not printable."""
    if len(value) > chars_max or not value.isprintable() or (required and not value.strip()):
        least = 1 if required else 0
        raise BadParameter(field, value, f"{least} to {chars_max} printable characters")


def wrong_state(run_id: int, *, asked: str) -> WrongState:
    """The refusal that names the state, and who brought the run there."""
    run = Run.objects.get(pk=run_id)
    last = run.transitions.last()
    changed_by = last.actor if last is not None else ""
    return WrongState(run_id, state=run.state, asked=asked, changed_by=changed_by)


def already_active(kind: str, target: str, lock: str) -> AlreadyActive:
    """The refusal that names the run in the way: of the same kind there, or holding the lock."""
    real = Run.objects.filter(mode=Mode.REAL.value)
    others = real.filter(kind=kind, target=target)
    if lock:
        others |= real.filter(lock=lock)
    other = others.order_by("finished_at", "-id").first()
    active = others.filter(finished_at=None).order_by("-id").first() or other
    assert active is not None, "a run in the way is why we came here"
    return AlreadyActive(active.pk, kind=active.kind, target=active.target, actor=active.actor)


def traceparent() -> str:
    """The W3C context of the request under way; empty without one."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent", "")
