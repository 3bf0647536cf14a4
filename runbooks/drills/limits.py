"""Every limit of drills, in one place, with its unit and its reason."""

# The mark is renewed each second; a drill that died is over for everybody after this.
MARK_TTL_MS = 10_000

# A fault ends by itself inside its target after this, unless it is renewed. Long enough for a
# machine that is busy with the drill itself, short enough that a dead drill harms nobody for long.
FAULT_LEASE_MS = 6_000
FAULT_RENEW_S = 2.0
FAULT_OWNER = "drill"
NOISY_TENANT = "noisytenant"

# How long to wait for a fleet that is whole again after the fault was taken back.
HEAL_S_MAX = 30.0

# The whole drill; the Celery task that waits for it ends at 145 s.
DRILL_S_MAX = 120

# Kept on disk under drills/: more than a page compares, and never a disk full of histories.
KEPT_DRILLS_MAX = 60
KEPT_BYTES_MAX = 256 << 20
HISTORY_OPERATIONS_MAX = 100_000

# Of all writes, those whose outcome nobody knows. More than this proves nothing either way.
UNKNOWN_SHARE_MAX = 0.01

# Steps of the search for one linear order, over all keys: about 20 s of one core.
SEARCH_STEPS_MAX = 2_000_000

# Below this much of a budget, a drill would spend what users may still need.
BUDGET_LEFT_PERCENT_MIN = 10.0

# A follower further behind than this is no spare for the one that the drill takes.
LAG_ENTRIES_MAX = 1_000

REASON_CHARS_MAX = 300
EARLIER_RUNS_SHOWN = 30
