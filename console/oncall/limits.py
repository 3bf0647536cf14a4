"""Limits of the schedule, with their units and reasons."""

SEATS_MAX = 20  # A rotation in which a turn comes up at least about twice a year.
TURN_DAYS_MAX = 28
OVERRIDE_DAYS_MAX = 60  # Longer than that, the rotation itself is wrong.
OVERRIDES_MAX = 200  # Not yet over, at one time.
