"""Who is on call: a rotation, and overrides for days that it does not fit. Never nobody."""
