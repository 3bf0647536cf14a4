"""What can go wrong when a person or a program asks for a run, sorted by who must act.

Each error is a sentence for the page and knows the HTTP status an API answers with. What goes
wrong inside a run is no exception to the caller: it is written in the run itself.
"""

from __future__ import annotations


class RunError(Exception):
    """Base of what `runbooks.actions` and `runbooks.queries` raise."""

    status = 500


class BadParameter(RunError):
    """The request names something that cannot be: `field` says which, `expected` the limit."""

    status = 400

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(f"{field} is {str(value)[:80]!r}; expected {expected}")
        self.field = field
        self.value = value
        self.expected = expected


class NoSuchRun(RunError):
    """There is no run of that id."""

    status = 404

    def __init__(self, run_id: int) -> None:
        super().__init__(f"there is no run {run_id}")
        self.run_id = run_id


class AlreadyActive(RunError):
    """The same kind of run is under way on that target; look at it instead."""

    status = 409

    def __init__(self, run_id: int, *, kind: str, target: str, actor: str) -> None:
        super().__init__(f"run {run_id} ({kind} on {target}) by {actor} is not finished yet")
        self.run_id = run_id
        self.actor = actor


class WrongState(RunError):
    """Somebody was quicker, or the run never was in a state that allows this."""

    status = 409

    def __init__(self, run_id: int, *, state: str, asked: str, changed_by: str) -> None:
        by = f" by {changed_by}" if changed_by else ""
        super().__init__(f"run {run_id} cannot be {asked}: it is {state}{by}")
        self.run_id = run_id
        self.state = state
        self.changed_by = changed_by


class PlanChanged(RunError):
    """What would be done now is not what was read; `plan_hash` is that of the new plan."""

    status = 409

    def __init__(self, run_id: int, plan_hash: str) -> None:
        super().__init__(f"the plan of run {run_id} changed; review it again")
        self.run_id = run_id
        self.plan_hash = plan_hash


class ApprovalRefused(RunError):
    """This person may not approve this run, or not like this."""

    status = 403


class WrongPolicy(RunError):
    """A start by policy that can't be held or made any more; the sentence says why."""

    status = 409

    def __init__(self, start_id: int, reason: str) -> None:
        super().__init__(f"start {start_id} by policy: {reason}")
        self.start_id = start_id


class KeyReused(RunError):
    """The idempotency key belongs to a run that was asked for with other words."""

    status = 422

    def __init__(self, run_id: int, key: str) -> None:
        super().__init__(f"key {key[:40]!r} already started run {run_id} with another request")
        self.run_id = run_id


class TooManyRuns(RunError):
    """The bound on unfinished runs is reached; nothing was started."""

    status = 503

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} runs are unfinished; wait for one or cancel one")
        self.limit = limit
