"""The journal's tables: a run, its frozen steps, every attempt, every change of state.

Writes are in `runbooks.journal` only, and each is a compare-and-set: on `Run.version` for what the
run does, on the attempt's own row for what a worker reports. The database holds the rules that
must survive a bug in the code: one running attempt for a step, one unfinished run of a kind on a
target, one holder of a lock, a finishing time exactly where something is finished.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from runbooks import limits
from runbooks.engine.plan import StepKind
from runbooks.engine.states import ACTIVE_STATES, AttemptState, Mode, Purpose, RunState

_ACTIVE = [state.value for state in ACTIVE_STATES]
_OF_RUNS = [state.value for state in RunState if state is not RunState.SKIPPED]


class Run(models.Model):
    """Somebody acts on a target. `subject` says for what ("incident:42") or is empty."""

    kind = models.CharField(max_length=40)
    target = models.CharField(max_length=limits.TARGET_CHARS_MAX)
    params = models.JSONField(default=dict)
    subject = models.CharField(max_length=limits.SUBJECT_CHARS_MAX, blank=True, default="")
    actor = models.CharField(max_length=limits.ACTOR_CHARS_MAX)
    key = models.CharField(max_length=limits.KEY_CHARS_MAX, unique=True)

    # A dry run is stored apart by this: it counts nowhere and locks nothing.
    mode = models.CharField(max_length=4, default=Mode.REAL.value)
    # What nobody else may act on meanwhile; empty for a run that changes nothing.
    lock = models.CharField(max_length=limits.TARGET_CHARS_MAX, blank=True, default="")
    # The text of the runbook that this run was made from; empty for a built-in kind.
    content_hash = models.CharField(max_length=64, blank=True, default="")
    # The plan that approval was asked for, and the policy that may give it by itself.
    plan_hash = models.CharField(max_length=64, blank=True, default="")
    policy = models.CharField(max_length=limits.NAME_CHARS_MAX, blank=True, default="")

    state = models.CharField(max_length=12, choices=[(s, s) for s in _OF_RUNS])
    version = models.PositiveIntegerField(default=1)
    cancel_by = models.CharField(max_length=limits.ACTOR_CHARS_MAX, blank=True, default="")
    cancel_reason = models.CharField(max_length=limits.REASON_CHARS_MAX, blank=True, default="")
    # Set while what was done is taken back: how the run ends after that, and why.
    ending = models.CharField(max_length=12, blank=True, default="")
    ending_reason = models.CharField(max_length=limits.REASON_CHARS_MAX, blank=True, default="")
    undoes_failures = models.BooleanField(default=False)
    # "" nothing was taken back, "done" all of it, "failed" not all of it.
    undo_state = models.CharField(max_length=12, blank=True, default="")
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
            models.CheckConstraint(name="run_state_known", condition=Q(state__in=_OF_RUNS)),
            models.CheckConstraint(name="run_version_counts", condition=Q(version__gte=1)),
            models.CheckConstraint(
                name="run_finished_has_time",
                condition=Q(state__in=_ACTIVE, finished_at__isnull=True)
                | (~Q(state__in=_ACTIVE) & Q(finished_at__isnull=False)),
            ),
            models.UniqueConstraint(
                name="run_one_active_for_target",
                fields=["kind", "target"],
                condition=Q(state__in=_ACTIVE, mode=Mode.REAL.value),
            ),
            models.UniqueConstraint(
                name="run_one_holder_of_lock",
                fields=["lock"],
                condition=Q(state__in=_ACTIVE, mode=Mode.REAL.value) & ~Q(lock=""),
            ),
            models.CheckConstraint(
                name="run_mode_known", condition=Q(mode__in=[m.value for m in Mode])
            ),
        ]
        indexes = [
            # The watcher's round looks only at unfinished runs.
            models.Index(name="run_active", fields=["ring_at"], condition=Q(state__in=_ACTIVE)),
            models.Index(name="run_subject", fields=["subject", "-id"]),
            models.Index(name="run_kind", fields=["kind", "-id"]),
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
    # The end of all attempts together, set with the first; and how long an approval is waited for.
    deadline = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    is_undo = models.BooleanField(default=False)
    # What a runbook adds to the step (`plan.to_json`), and its call as it was approved.
    spec = models.JSONField(default=dict)
    approved_call = models.JSONField(default=dict)
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
    # A check counts apart from the attempts to act.
    purpose = models.CharField(max_length=5, default=Purpose.ACT.value)
    number = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in AttemptState])
    worker = models.CharField(max_length=120)
    # What a change sends, written before it is sent: a check after a crash goes by it.
    sent = models.JSONField(default=dict)
    lease_until = models.DateTimeField()
    deadline = models.DateTimeField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=limits.REASON_CHARS_MAX, blank=True, default="")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                name="attempt_number_once", fields=["step", "purpose", "number"]
            ),
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


class RunbookVersion(models.Model):
    """A text that was in force once, so that a run can always show what it was made from."""

    name = models.CharField(max_length=limits.NAME_CHARS_MAX)
    content_hash = models.CharField(max_length=64, unique=True)
    text = models.TextField()
    is_own = models.BooleanField()
    first_seen_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(name="runbook_version_name", fields=["name", "-id"])]

    def __str__(self) -> str:
        return f"{self.name} {self.content_hash[:8]}"


class RunPolicy(models.Model):
    """An admin's word that a runbook may start by itself for a kind of finding."""

    finding_kind = models.CharField(max_length=limits.NAME_CHARS_MAX, unique=True)
    runbook = models.CharField(max_length=limits.NAME_CHARS_MAX)
    is_on = models.BooleanField(default=True)
    min_score = models.FloatField(default=0.6)
    changed_by = models.CharField(max_length=limits.ACTOR_CHARS_MAX)
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["finding_kind"]

    def __str__(self) -> str:
        return f"{self.finding_kind} -> {self.runbook} ({'on' if self.is_on else 'off'})"


class PolicyStart(models.Model):
    """A policy is about to start, was held, or did start a runbook for a subject; once each."""

    policy = models.ForeignKey(RunPolicy, on_delete=models.CASCADE, related_name="starts")
    subject = models.CharField(max_length=limits.SUBJECT_CHARS_MAX)
    entity = models.CharField(max_length=limits.TARGET_CHARS_MAX)
    params = models.JSONField(default=dict)
    due_at = models.DateTimeField()
    held_by = models.CharField(max_length=limits.ACTOR_CHARS_MAX, blank=True, default="")
    run = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True)
    settled_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=limits.REASON_CHARS_MAX, blank=True, default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                name="policy_start_once", fields=["policy", "subject", "entity"]
            )
        ]
        indexes = [
            models.Index(
                name="policy_start_open", fields=["due_at"], condition=Q(settled_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"{self.policy} for {self.subject}"
