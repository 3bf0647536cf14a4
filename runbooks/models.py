"""The journal's tables: a run, its frozen steps, every attempt, every change of state.

Writes are in `runbooks.journal` only, and each is a compare-and-set: on `Run.version` for what the
run does, on the attempt's own row for what a worker reports. The database holds the rules that
must survive a bug in the code: one running attempt for a step, one unfinished run of a kind on a
target, a finishing time exactly where something is finished.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from runbooks import limits
from runbooks.engine.machine import ACTIVE_STATES, AttemptState, RunState
from runbooks.engine.plan import StepKind

_ACTIVE = [state.value for state in ACTIVE_STATES]


class Run(models.Model):
    """Somebody acts on a target. `subject` says for what ("incident:42") or is empty."""

    kind = models.CharField(max_length=40)
    target = models.CharField(max_length=limits.TARGET_CHARS_MAX)
    params = models.JSONField(default=dict)
    subject = models.CharField(max_length=limits.SUBJECT_CHARS_MAX, blank=True, default="")
    actor = models.CharField(max_length=limits.ACTOR_CHARS_MAX)
    key = models.CharField(max_length=limits.KEY_CHARS_MAX, unique=True)

    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in RunState])
    version = models.PositiveIntegerField(default=1)
    cancel_by = models.CharField(max_length=limits.ACTOR_CHARS_MAX, blank=True, default="")
    reason = models.CharField(max_length=limits.REASON_CHARS_MAX, blank=True, default="")
    outcome = models.JSONField(default=dict)

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    deadline = models.DateTimeField()

    # W3C trace context of the request that started the run, so that a bell rung by the watcher
    # still continues the trace of the button.
    traceparent = models.CharField(max_length=55, blank=True, default="")
    # The bell: rung again at `ring_at` while nothing happens, each time twice as late.
    ring_at = models.DateTimeField()
    ring_count = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="run_state_known", condition=Q(state__in=[s.value for s in RunState])
            ),
            models.CheckConstraint(name="run_version_counts", condition=Q(version__gte=1)),
            models.CheckConstraint(
                name="run_finished_has_time",
                condition=Q(state__in=_ACTIVE, finished_at__isnull=True)
                | (~Q(state__in=_ACTIVE) & Q(finished_at__isnull=False)),
            ),
            models.UniqueConstraint(
                name="run_one_active_for_target",
                fields=["kind", "target"],
                condition=Q(state__in=_ACTIVE),
            ),
        ]
        indexes = [
            # The watcher's round looks only at unfinished runs.
            models.Index(name="run_active", fields=["ring_at"], condition=Q(state__in=_ACTIVE)),
            models.Index(name="run_subject", fields=["subject", "-id"]),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}: {self.kind} on {self.target} ({self.state})"


class Step(models.Model):
    """One step of the plan as it stood when the run started."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=40)
    kind = models.CharField(max_length=12, choices=[(k.value, k.value) for k in StepKind])
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in RunState])
    attempt_limit = models.PositiveSmallIntegerField()
    timeout_s = models.PositiveIntegerField()
    reason = models.CharField(max_length=limits.REASON_CHARS_MAX, blank=True, default="")
    outcome = models.JSONField(default=dict)
    # What this step hands to the next one, compressed; dropped when the run is done.
    payload = models.BinaryField(default=bytes)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(name="step_position_once", fields=["run", "position"]),
            models.UniqueConstraint(name="step_name_once", fields=["run", "name"]),
            models.CheckConstraint(
                name="step_attempts_bounded",
                condition=Q(attempt_limit__gte=1, attempt_limit__lte=limits.ATTEMPTS_MAX),
            ),
            models.CheckConstraint(
                name="step_kind_known", condition=Q(kind__in=[k.value for k in StepKind])
            ),
            models.CheckConstraint(
                name="step_state_known", condition=Q(state__in=[s.value for s in RunState])
            ),
        ]

    def __str__(self) -> str:
        return f"step {self.position} {self.name} ({self.state})"


class Attempt(models.Model):
    """One claim of a step by one worker. Its lease says how long silence means work."""

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in AttemptState])
    worker = models.CharField(max_length=120)
    lease_until = models.DateTimeField()
    deadline = models.DateTimeField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=limits.REASON_CHARS_MAX, blank=True, default="")

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(name="attempt_number_once", fields=["step", "number"]),
            models.UniqueConstraint(
                name="attempt_one_running",
                fields=["step"],
                condition=Q(state=AttemptState.RUNNING.value),
            ),
            models.CheckConstraint(
                name="attempt_state_known", condition=Q(state__in=[s.value for s in AttemptState])
            ),
            models.CheckConstraint(
                name="attempt_finished_has_time",
                condition=Q(state=AttemptState.RUNNING.value, finished_at__isnull=True)
                | (~Q(state=AttemptState.RUNNING.value) & Q(finished_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="attempt_lease_in_deadline", condition=Q(lease_until__lte=F("deadline"))
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} ({self.state})"


class Transition(models.Model):
    """A run changed its state: when, by whom, why. Never changed, never deleted alone."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="transitions")
    at = models.DateTimeField()
    actor = models.CharField(max_length=limits.ACTOR_CHARS_MAX)
    from_state = models.CharField(max_length=12, blank=True, default="")
    to_state = models.CharField(max_length=12)
    reason = models.CharField(max_length=limits.REASON_CHARS_MAX, blank=True, default="")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.from_state or 'new'} -> {self.to_state} by {self.actor}"
