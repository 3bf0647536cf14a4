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

# How long a fault may be asked to stand: longer than anybody needs to find it and cure it.
HOLD_S_MIN = 1
HOLD_S_MAX = 300

# A cure that leaves the fault where it is (the node was drained, the tenant throttled) is proved
# under the fault for this long: as long as "fixed" needs. Then the drill ends it.
CURED_HOLD_S = 30.0

# The whole drill beside its fault: calm, the vendor's client, a fleet that is whole again, the
# read-back, the check. HOLD_S_MAX and this come before the end of the Celery task that waits.
REST_S_MAX = 100
CHECK_S_MAX = 60.0

# A fault that stands longer than this is watched with a quarter of the questions, so that the
# history of a long drill stays short enough to be checked and shown.
BUSY_S_MAX = 30.0
SLOWER_FACTOR = 4.0

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
