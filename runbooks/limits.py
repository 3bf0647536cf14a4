"""Every limit of the run engine, in one place, with its unit and its reason."""

# A worker that is alive renews its lease every RENEW_S. Four missed renewals mean that it died:
# fewer would take a machine that swaps for a dead one, more would leave people waiting.
LEASE_S = 8.0
RENEW_S = 2.0

# A queued run whose bell was lost is rung again after RING_FIRST_S, then twice as late each time.
# The doubling keeps the queue of a fleet without workers short.
RING_FIRST_S = 4.0
RING_MAX_S = 60.0

# More unfinished runs than this means that something starts them in a loop.
ACTIVE_RUNS_MAX = 64

# Attempts of one step over its whole life, presses of "retry" included.
ATTEMPTS_MAX = 20

# Looks at whether a lost change happened, before a person is asked, and how long one may take.
CHECKS_MAX = 3
CHECK_TIMEOUT_S = 15
# Who says what happened, when no check can tell.
SETTLER_ROLE = "responder"

# A change whose before-check said no is looked at again after this.
HELD_WAIT_S = 1.0

# Text that is stored and shown, in characters.
NAME_CHARS_MAX = 40
REASON_CHARS_MAX = 500
TARGET_CHARS_MAX = 100
ACTOR_CHARS_MAX = 150
SUBJECT_CHARS_MAX = 120
KEY_CHARS_MAX = 100

# A page lists at most this many runs.
LISTED_RUNS_MAX = 200

# A heartbeat older than this is shown as a dead process: the beat is written each second, and a
# machine under load may be late by a few.
HEARTBEAT_STALE_S = 6.0

# The watcher handles at most this many runs in one round; the rest wait one second.
REAPED_PER_ROUND_MAX = 100

# Waits of the watcher after a round that failed: doubled from the first to the last.
BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 5.0

# A ring must not hold up the button that caused it. The client library asks a silent broker twice,
# so a stopped one costs 2 s (measured), a missing one 5 ms.
RING_TIMEOUT_S = 1.0

# A worker goes on to the next step in the same task for this long, then gives way to other runs.
GO_ON_S = 1.0

# What a run that takes things back gets on top of the times of its steps back.
UNDO_GRACE_S = 30.0

# An approval alone needs a reason that says something.
APPROVAL_REASON_CHARS_MIN = 10

# One attempt at a runbook's step ends before this.
STEP_TIMEOUT_S_MAX = 150

# Hard end of one Celery task; a step's own deadline comes first: that of a drill whose fault stands
# for five minutes, at most 420 s, is the longest.
TASK_SOFT_LIMIT_S = 450
TASK_HARD_LIMIT_S = 480
