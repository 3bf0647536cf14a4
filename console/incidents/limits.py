"""Every limit of incidents, in one place, with its unit and its reason."""

# Alerts that begin this close together, in one fleet, are one trouble: a stalled disk moves
# latency, availability and a node's health within seconds of each other.
JOIN_WITHIN_MS = 60_000

# An incident takes in new alerts for this long after its first. Beyond it, a second trouble that
# begins while the first is still open deserves a name, an owner and a page of its own.
JOIN_SPAN_MS = 15 * 60_000

# An alert that fires again this soon after its incident ended is the same trouble, flapping.
REJOIN_WITHIN_MS = 5 * 60_000

# An onset is the first bad second of a window of 30 s or more, and on a busy machine some second
# before the fault is easily bad. What fires only during a drill and is said to have begun at most
# this long before its mark is the drill's. If it is real after all, it outlives the drill.
DRILL_ONSET_MS = 45_000

# A drill's incident whose alerts still fire this long after the drill ended is no drill any more.
DRILL_GRACE_MS = 120_000

# An incident in memory is forgotten this long after it ended; flaps come sooner, or are news.
FORGET_AFTER_MS = 2 * REJOIN_WITHIN_MS

# Alerts remembered by name of one incident. Beyond it they are counted, and kept in the table.
ALERTS_IN_MEMORY_MAX = 5_000

# Records waiting for a stalled database. One alert is one record, and a storm of 2,000 must fit
# several times; beyond it the newest are dropped and counted.
RECORDS_WAITING_MAX = 20_000

# A record that the database refuses is tried again this often in a row, then left out: one bad
# row must not hold up all that come after it. A database that can't be reached is waited for.
RECORD_TRIES_MAX = 3

# Text that is stored and shown, in characters.
KEY_CHARS_MAX = 120
HEADLINE_CHARS_MAX = 200
NOTE_CHARS_MAX = 4_000
NAME_CHARS_MAX = 150

# Rows on a page.
LISTED_MAX = 50
ALERTS_SHOWN_MAX = 50
TIMELINE_SHOWN_MAX = 200

# Who looked at an incident within this time is there. The page says so every PRESENCE_EVERY_S.
PRESENCE_S = 25.0
PRESENCE_EVERY_S = 10
PRESENT_MAX = 500

# A silence always ends by itself, within a day: nobody remembers a longer one.
SILENCE_HOURS_MAX = 24
MATCHERS_MAX = 20

# A foreign webhook, in bytes and in alerts. Alertmanager sends thousands in one when asked to.
WEBHOOK_BYTES_MAX = 2 << 20
WEBHOOK_ALERTS_MAX = 5_000
WEBHOOKS_KEPT_MAX = 200

# A watcher that begins takes again what an earlier one took this lately: a record waits for no
# longer than this, unless the database stands still, and then nothing is taken either.
TAKEN_AGAIN_MS = 30_000

# Triage looks again when the evidence has had this long to gather.
TRIAGE_AGAIN_S = 30
